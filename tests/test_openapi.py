"""/openapi.json: valid, of all routes and no others, and of this service's own settings.

That answers are as it says, every test sees to that runs a service: `conftest.running_service`.
"""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest
import sqlalchemy as sa
from conftest import running_service
from openapi_spec_validator import validate
from served_contract import ServedContract
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from asgi_token_auth import Limits, PasswordPolicy, Settings, TokenAuth, users_table
from asgi_token_auth.endpoints.openapi.operations import OPERATIONS
from asgi_token_auth.storage.tables import MYSQL
from asgi_token_auth.testing import Mailbox, settings

UUID_KEY = sa.Table(
    "people",
    sa.MetaData(),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("username", sa.String(64), unique=True),
    sa.Column("hashed_password", sa.Text, nullable=False),
    sa.Column("confirmed_at", sa.BigInteger),
    **MYSQL,
)
RICH = users_table(
    None,
    sa.Column("name", sa.String(10), nullable=False),
    sa.Column("age", sa.Integer),
    sa.Column("score", sa.Float),
    sa.Column("keen", sa.Boolean, nullable=False, default=True),
    sa.Column("traits", sa.JSON),
    sa.Column("born", sa.Date),
    sa.Column("role", sa.String(10), nullable=False, default="member"),
    sa.Column("optional", sa.Enum("yes", "no", native_enum=False)),
)
RICH_FIELDS = ["name", "age", "score", "keen", "traits", "optional"]


async def document_of(app: Any, path: str = "/openapi.json", root: str = "") -> Any:
    transport = httpx.ASGITransport(app, root_path=root)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get(root + path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return answer.json()


def auth_with(**overrides: Any) -> TokenAuth:
    return TokenAuth(**{"database": "sqlite:///never.db", **settings(Mailbox()), **overrides})


def contents_of(node: Any) -> Iterator[dict[str, Any]]:
    """All that bodies and answers of the document are said to be."""
    if isinstance(node, dict):
        yield from node.get("content", {}).values()
    for inner in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    ):
        yield from contents_of(inner)


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"users": UUID_KEY},
        {"users": RICH, "user_fields": RICH_FIELDS},
        {"disclose_accounts": "never", "password_policy": PasswordPolicy.recommended()},
        {"password_policy": PasswordPolicy(minimum_characters=40)},
    ],
)
async def test_it_is_valid_and_its_examples_are_too(overrides: dict[str, Any]) -> None:
    """By the specification's own schema; and each example by the schema that it stands in."""
    document = await document_of(auth_with(**overrides).app)

    validate(document)
    components = {"components": document["components"]}
    for name, schema in document["components"]["schemas"].items():
        for example in schema.get("examples", []):
            jsonschema.validate(example, {"allOf": [schema], **components}), name
    for content in contents_of(document):
        if "example" in content:
            jsonschema.validate(content["example"], {"allOf": [content["schema"]], **components})


async def test_each_route_is_an_operation_and_each_operation_a_route() -> None:
    """There is one list of routes; and what is described is served by that name."""
    auth = auth_with()
    document = await document_of(auth.app)
    described = {
        (path, method.upper()) for path, item in document["paths"].items() for method in item
    }
    routes = [route for route in auth.app.routes if isinstance(route, Route)]
    served = {
        (route.path, method) for route in routes for method in (route.methods or set()) - {"HEAD"}
    }
    operations = itertools.chain(*(item.values() for item in document["paths"].values()))
    names = [each["operationId"] for each in operations if "operationId" in each]

    assert described == served
    assert sorted(names) == sorted(OPERATIONS)
    assert all(callable(getattr(auth.endpoints, name)) for name in names)


@pytest.mark.parametrize(("mount", "root"), [("/api", ""), ("/api", "/v1"), ("/a/b", "/v1/v2")])
async def test_its_server_is_where_it_was_got_from(mount: str, root: str) -> None:
    """Under any mount and root path, of the sub-app by itself, too."""
    auth = auth_with()
    outer = Starlette(routes=[Mount(mount, app=auth.app)])

    for app in (auth.wrap(Starlette(), mount=mount), outer):
        document = await document_of(app, f"{mount}/openapi.json", root)
        got_from = httpx.URL(f"http://test{root}{mount}/openapi.json")
        assert got_from.join(document["servers"][0]["url"]) == f"http://test{root}{mount}/"


async def test_it_says_what_this_service_takes() -> None:
    """Columns, keys, lengths and ways to log in are those of the settings."""
    plain = await document_of(auth_with().app)
    rich = await document_of(
        auth_with(
            users=RICH, user_fields=RICH_FIELDS, password_policy=PasswordPolicy.recommended()
        ).app
    )
    names = await document_of(auth_with(users=UUID_KEY).app)
    schemas = rich["components"]["schemas"]
    user = schemas["SignUp"]["properties"]["user"]

    assert user["required"] == ["password", "name"]
    assert user["properties"]["name"] == {"type": "string", "maxLength": 10}
    assert user["properties"]["keen"] == {"type": ["boolean", "null"]}
    account = schemas["AccountUpdate"]["properties"]["account"]
    assert account["properties"]["keen"] == {"type": "boolean"}
    assert user["properties"]["traits"] == {"type": ["object", "array", "null"]}
    assert user["properties"]["optional"] == {"enum": ["yes", "no", None]}
    assert {"role", "born"}.isdisjoint(user["properties"])
    assert schemas["Account"]["properties"]["born"] == {"type": ["string", "null"]}
    assert schemas["NewPassword"]["minLength"] == 15
    assert plain["components"]["schemas"]["NewPassword"]["minLength"] == 6
    credentials = names["components"]["schemas"]["Credentials"]
    assert set(credentials["properties"]) == {"username", "password", "session_name"}
    assert names["components"]["schemas"]["UserId"]["format"] == "uuid"
    assert names["components"]["schemas"]["Account"]["properties"]["id"] == {"type": "string"}


async def test_disclosure_is_described(sqlite_url: str) -> None:
    """A client is told what it can't find out."""
    texts = {
        (await document_of(auth_with(disclose_accounts=mode).app))["info"]["description"]
        for mode in ("never", "at_sign_up", "always")
    }

    assert len(texts) == 3


async def test_answers_are_held_to_it(sqlite_url: str) -> None:
    """What holds the other tests' answers to the document fails where the two differ."""
    async with running_service(sqlite_url) as service:
        document = (await service.call("GET", "/api/openapi.json")).json()
        good = await service.call("GET", "/api/account")
        await ServedContract(document, "/api").check(good)
        for change in (
            lambda d: d["paths"]["/account"]["get"]["responses"].pop("401"),
            lambda d: d["components"]["schemas"]["TokenError"]["required"].append("code"),
            lambda d: d["components"]["headers"]["NoStore"]["schema"].update(const="x"),
            lambda d: d["paths"]["/account"].pop("get"),
        ):
            other = json.loads(json.dumps(document))
            change(other)
            with pytest.raises(AssertionError):
                await ServedContract(other, "/api").check(good)


async def test_what_it_forbids_is_refused_is_held_too(sqlite_url: str) -> None:
    """A body that was taken is one that the document allows."""
    async with running_service(sqlite_url) as service:
        document = (await service.call("GET", "/api/openapi.json")).json()
        user = {"user": {"username": "ada", "password": "secret"}}
        taken = await service.call("POST", "/api/users", user)
        await ServedContract(document, "/api").check(taken)
        document["components"]["schemas"]["NewPassword"]["minLength"] = 7
        with pytest.raises(AssertionError):
            await ServedContract(document, "/api").check(taken)


ASKED_FOR = {  # beside the document's own examples: what uses an attempt up
    "update_account": {"account": {"email": "new@example.com"}},
    "delete_account": {"password": "wrong one"},
}


async def test_too_many_attempts_are_told_where_attempts_are_counted(sqlite_url: str) -> None:
    """By each operation that says so, and by no other; limits are at their narrowest."""
    narrow = Limits(**dict.fromkeys(Limits.names(), "1/day"))
    async with running_service(sqlite_url, limits=narrow) as service:
        document = service.contract.document
        reply = await service.new_user("eve@example.com")
        token = await service.auth.accounts.log_in(email="eve@example.com", password="secret")
        answered, described = set(), set()
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if "429" in operation["responses"]:
                    described.add((method, path))
                for _ in range(3):
                    if path.endswith("/session") or (method, path) == ("delete", "/sessions"):
                        continue  # the first is told under its other path, the second ends all
                    body = operation.get("requestBody", {"content": {}})["content"]
                    given = ASKED_FOR.get(operation["operationId"])
                    answer = await service.client.request(
                        method,
                        f"/api{path}".replace("{id}", str(reply["id"])),
                        headers={"Authorization": f"Bearer {token.token}"},
                        **{
                            "data" if "form" in kind else "json": given or content["example"]
                            for kind, content in body.items()
                        },
                    )
                    if answer.status_code == 429:
                        answered.add((method, path))

    assert answered == described - {("post", "/session")}
    assert len(answered) == 9


IN_THE_ENVIRONMENT = {
    "TOKEN_AUTH_DATABASE": "sqlite:///never.db",
    "TOKEN_AUTH_SECRET_KEY": "k" * 40,
    "TOKEN_AUTH_EMAIL_SENDER": "app@example.com",
    "TOKEN_AUTH_DISABLED_ENDPOINTS": "sign_up, delete_account",
}


async def test_an_endpoint_that_is_disabled_is_not_there(sqlite_url: str) -> None:
    """Neither served nor described; its path's other methods are, and `Allow` has them."""
    found = Settings.from_env(IN_THE_ENVIRONMENT)
    disabled = {*found.disabled_endpoints}
    assert disabled == {"sign_up", "delete_account"}
    async with running_service(sqlite_url, disabled_endpoints=disabled) as service:
        user = {"user": {"username": "ada", "password": "secret"}}
        assert (await service.call("POST", "/api/users", user)).status_code == 404
        refused = await service.call("DELETE", "/api/account", {"password": "secret"})
        assert refused.status_code == 405
        assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD", "PUT"}
        paths = service.contract.document["paths"]

    assert "/users" not in paths
    assert "delete" not in paths["/account"]
