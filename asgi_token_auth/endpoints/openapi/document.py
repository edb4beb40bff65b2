"""The document: the routes, each with what `operations.py` says of its endpoints."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from asgi_token_auth.accounts import Parts
from asgi_token_auth.endpoints.openapi.answer_schemas import answer_schemas
from asgi_token_auth.endpoints.openapi.examples import example_of
from asgi_token_auth.endpoints.openapi.operations import OPERATIONS, TAGS, Operation
from asgi_token_auth.endpoints.openapi.request_schemas import request_schemas
from asgi_token_auth.endpoints.openapi.responses import HEADERS, RESPONSES, build_responses
from asgi_token_auth.endpoints.routes import ContractRoute

Schema = dict[str, Any]

CONTRACT_VERSION = "1.1.0"  # of the wire contract: its first number changes where clients must
BEARER_SCHEME, PASSWORD_SCHEME = "bearer", "password"
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
    schemas = {**request_schemas(parts), **answer_schemas(parts)}
    paths = _paths(routes, schemas)
    used = {operation["tags"][0] for item in paths.values() for operation in item.values()}
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Accounts",
            "version": CONTRACT_VERSION,
            "description": f"{ABOUT}\n\n{DISCLOSURE[parts.settings.disclose_accounts]}",
        },
        "servers": [{"url": "."}],
        "tags": [
            {"name": name, "description": text} for name, text in TAGS.items() if name in used
        ],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": RESPONSES,
            "headers": HEADERS,
            "securitySchemes": _security_schemes("/token" in paths),
        },
    }


def with_token_url(document: Schema, url: str) -> Schema:
    """The document with the place of the token endpoint, if it has one.

    That is resolved against the server by the specification, and by Swagger UI otherwise where
    the server is a relative URL: only a path from the root is right everywhere.
    """
    components = document["components"]
    schemes = components["securitySchemes"]
    if PASSWORD_SCHEME not in schemes:
        return document
    placed = {**schemes, PASSWORD_SCHEME: _password_scheme(url)}
    return {**document, "components": {**components, "securitySchemes": placed}}


def _security_schemes(has_token_endpoint: bool) -> Schema:
    password = {PASSWORD_SCHEME: _password_scheme("token")} if has_token_endpoint else {}
    bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    return {**password, BEARER_SCHEME: bearer}  # in which order tools show them


def _password_scheme(token_url: str) -> Schema:
    return {
        "type": "oauth2",
        "description": "Logs in with e-mail address or username, and password.",
        "flows": {"password": {"tokenUrl": token_url, "scopes": {}}},
    }


def _paths(routes: Sequence[ContractRoute], schemas: Schema) -> Schema:
    served = {each.__name__ for route in routes for each in route.by_method.values()}
    security: list[Schema] = [{name: []} for name in _security_schemes("token" in served)]
    paths: Schema = {}
    described: set[str] = set()
    for route in routes:
        item = paths[route.path] = {}
        for method, endpoint in route.by_method.items():
            name = endpoint.__name__
            # An endpoint under a second path is the same operation, and an id can't be given twice.
            named = {} if name in described else {"operationId": name}
            operation = _without_dead_links(OPERATIONS[name], served)
            content = _operation(operation, schemas)
            item[method.lower()] = {
                **named,
                **content,
                "security": security if operation.bearer else [],
            }
            described.add(name)
    return paths


def _without_dead_links(operation: Operation, served: set[str]) -> Operation:
    alive = {name: link for name, link in operation.links.items() if name in served}
    return dataclasses.replace(operation, links=alive)


def _operation(operation: Operation, schemas: Schema) -> Schema:
    parameters = [
        *(_parameter(name, "path", schema) for name, schema in operation.path.items()),
        *(_parameter(name, "query", schema) for name, schema in operation.query.items()),
    ]
    return {
        "tags": [operation.tag],
        "summary": operation.summary,
        **({"description": operation.description} if operation.description else {}),
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": _body(operation, schemas)} if operation.body else {}),
        "responses": build_responses(operation, schemas),
    }


def _parameter(name: str, place: str, schema: Schema) -> Schema:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _body(operation: Operation, schemas: Schema) -> Schema:
    schema = {"$ref": f"#/components/schemas/{operation.body}"}
    content = {"schema": schema, "example": example_of(schema, schemas)}
    return {"required": True, "content": {operation.body_type: content}}
