"""The document: the routes, each with what `operations.py` says of its endpoints."""

from collections.abc import Sequence
from typing import Any

from asgi_token_auth.accounts import Parts
from asgi_token_auth.endpoints.openapi.operations import OPERATIONS, Operation
from asgi_token_auth.endpoints.openapi.responses import HEADERS, RESPONSES, build_responses
from asgi_token_auth.endpoints.openapi.schemas import build_schemas
from asgi_token_auth.endpoints.routes import ContractRoute

Schema = dict[str, Any]

CONTRACT_VERSION = "1.0.0"  # of the wire contract: its first number changes where clients must
DISCLOSURE = {
    "never": "Whether an address has an account is told to nobody: to those who sign up with one"
    " that is taken, and to those who ask for a mail to one that is not known, the answer is"
    " `ok`; a login before the confirmation is answered as one with a wrong password.",
    "at_sign_up": "Whether an address has an account is told at sign-up only: those who ask for a"
    " mail to one that is not known are answered `ok`.",
    "always": "Whether an address has an account is told at sign-up, and where a mail is asked"
    " for.",
}
ABOUT = """Accounts, and tokens that can be revoked.

Errors are JSON: `errors` has a message for each wrong field, or one under `base` for the request as
a whole; `error` says why a token was refused. A path that is not here answers 404, a method that is
not here 405 with `Allow`; to GET belongs HEAD."""


def build_document(routes: Sequence[ContractRoute], parts: Parts) -> Schema:
    """The OpenAPI 3.1 document of these routes.

    The server is `.`: relative to where the document was got (OpenAPI 3.1.1, section 4.5), so
    that it is right under whatever mount, root path or proxy.
    """
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Accounts",
            "version": CONTRACT_VERSION,
            "description": f"{ABOUT}\n\n{DISCLOSURE[parts.settings.disclose_accounts]}",
        },
        "servers": [{"url": "."}],
        "paths": _paths(routes),
        "components": {
            "schemas": build_schemas(parts),
            "responses": RESPONSES,
            "headers": HEADERS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _paths(routes: Sequence[ContractRoute]) -> Schema:
    paths: Schema = {}
    described: set[str] = set()
    for route in routes:
        item = paths[route.path] = {}
        for method, endpoint in route.by_method.items():
            name = endpoint.__name__
            # An endpoint under a second path is the same operation, and an id can't be given twice.
            named = {} if name in described else {"operationId": name}
            item[method.lower()] = {**named, **_operation(OPERATIONS[name])}
            described.add(name)
    return paths


def _operation(operation: Operation) -> Schema:
    parameters = [
        *(_parameter(name, "path", schema) for name, schema in operation.path.items()),
        *(_parameter(name, "query", schema) for name, schema in operation.query.items()),
    ]
    return {
        "tags": [operation.tag],
        "summary": operation.summary,
        **({"description": operation.description} if operation.description else {}),
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": _body(operation.body)} if operation.body else {}),
        "responses": build_responses(operation),
        "security": [{"bearer": []}] if operation.bearer else [],
    }


def _parameter(name: str, place: str, schema: Schema) -> Schema:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _body(schema: str) -> Schema:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"required": True, "content": content}
