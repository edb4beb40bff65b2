"""The account endpoints in an application's own OpenAPI document, of FastAPI, Litestar or none."""

import copy
import json
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from conftest import Service, running_service
from fastapi import FastAPI
from fastapi.security import HTTPBearer
from openapi_spec_validator import validate
from served_contract import ServedContract
from starlette.requests import Request
from test_openapi import RICH, RICH_FIELDS, UUID_KEY, auth_with

from asgi_token_auth import SettingsError, TokenAuth, users_table

PROTECT = ["/api/messages"]
BEARER_OR_PASSWORD = [{"AuthPassword": []}, {"AuthBearer": []}]
OPERATION = {"responses": {"200": {"description": "Done."}}}


def document(paths: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """An application's, in 3.1 unless it says otherwise."""
    info = {"title": "Messages", "version": "1"}
    return {"openapi": "3.1.0", "info": info, "paths": paths or {}, **more}


def own(path: str = "/api/messages", **operation: Any) -> dict[str, Any]:
    return document({path: {"get": {**OPERATION, **operation}}})


def get_of(merged: dict[str, Any], path: str = "/api/messages") -> Any:
    return merged["paths"][path]["get"]


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0", "3.1.1"])
@pytest.mark.parametrize(
    "overrides", [{}, {"users": RICH, "user_fields": RICH_FIELDS}, {"users": UUID_KEY}]
)
def test_it_is_valid_in_every_version(version: str, overrides: dict[str, Any]) -> None:
    """By the specification's own schema; and what was given stays as it was."""
    auth, given = auth_with(**overrides), {**own(), "openapi": version}
    before = copy.deepcopy(given)

    merged = auth.add_to_openapi(given, protect=PROTECT)

    validate(merged)
    assert given == before
    assert merged["openapi"] == version
    described = auth.endpoints.document["paths"].keys() - {"/openapi.json", "/docs"}
    assert merged["paths"].keys() == {"/api/messages", *(f"/api{path}" for path in described)}


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_to_do_it_again_changes_nothing(version: str) -> None:
    """Frameworks keep their document, and may hand the same one out again."""
    auth = auth_with()
    options: dict[str, Any] = {"protect": ["/"], "optional": ["/open"], "root_path": "/v1"}
    given = {**own("/open"), "openapi": version}
    given["paths"]["/api/messages"] = own()["paths"]["/api/messages"]

    once = auth.add_to_openapi(given, **options)

    assert auth.add_to_openapi(once, **options) == once


def test_what_documents_written_by_hand_have_is_taken() -> None:
    """Extensions among the paths, statuses that YAML read as numbers, and what was left empty."""
    refused = {"description": "Our own words."}
    given = document(
        {
            "x-owner": "us",
            "/api/messages": {"get": {"responses": {200: OPERATION["responses"]["200"]}}},
            "/api/messages/own": {"get": {"responses": {401: refused}}},
            "/api/messages/empty": None,
            "/api/account": None,
        },
        security=None,
        servers=[{}],
    )

    merged = auth_with().add_to_openapi(given, protect=["/api"])

    assert merged["paths"]["x-owner"] == "us"
    assert list(get_of(merged)["responses"]) == ["200", "400", "401", "503"]
    assert get_of(merged, "/api/messages/own")["responses"]["401"] == refused
    assert get_of(merged, "/api/account")["operationId"] == "Auth_show_account"


def test_names_of_the_applications_own_are_left_alone() -> None:
    """Schemas, operations, schemes and tags of the same names stay what they are."""
    schemas = {"Account": {"type": "integer"}, "Session": {"type": "string"}}
    given = document(
        {"/log_in": {"get": {**OPERATION, "operationId": "log_in", "tags": ["users"]}}},
        components={
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "basic"}},
            "examples": {"x": {"value": 1}},
        },
        tags=[{"name": "users"}],
    )

    merged = auth_with().add_to_openapi(given)

    validate(merged)
    assert merged["tags"] == given["tags"]
    assert merged["paths"]["/log_in"] == given["paths"]["/log_in"]
    assert merged["components"]["examples"] == given["components"]["examples"]
    assert {"schemas": schemas} == {
        "schemas": {name: merged["components"]["schemas"][name] for name in schemas}
    }
    assert merged["components"]["securitySchemes"]["bearer"]["scheme"] == "basic"
    operation = merged["paths"]["/api/sessions"]["post"]
    assert (operation["operationId"], operation["tags"]) == ("Auth_log_in", ["Auth: sessions"])
    content = operation["requestBody"]["content"]["application/json"]
    assert content["schema"] == {"$ref": "#/components/schemas/AuthCredentials"}


def test_columns_called_as_openapi_calls_things() -> None:
    """A column is a column, whatever its name."""
    names = ["type", "const", "examples", "example", "schema", "operationId", "tags", "security"]
    columns = [sa.Column(name, sa.String(9), nullable=False) for name in names]
    auth = auth_with(users=users_table(None, *columns))

    for version in ("3.0.3", "3.1.0"):
        merged = auth.add_to_openapi(document(openapi=version))
        validate(merged)
        user = merged["components"]["schemas"]["AuthSignUp"]["properties"]["user"]
        for name in names:
            assert user["properties"][name] == {"type": "string", "maxLength": 9}


def test_two_of_us_in_one_document() -> None:
    """Each under its mount and prefix; under one prefix, they are told apart or refused."""
    staff, customers = auth_with(), auth_with(users=UUID_KEY)
    once = staff.add_to_openapi(document(), mount="/staff", prefix="Staff")

    twice = customers.add_to_openapi(once, mount="/", protect=["/shop"], prefix="Customer")

    validate(twice)
    assert {"/staff/account", "/account"} <= twice["paths"].keys()
    assert twice["paths"]["/account"]["get"]["security"][1] == {"CustomerBearer": []}
    assert twice["paths"]["/staff/account"] == once["paths"]["/staff/account"]
    with pytest.raises(SettingsError, match=r"another prefix.*StaffUserId"):
        customers.add_to_openapi(once, prefix="Staff")


@pytest.mark.parametrize("given", [{}, {"swagger": "2.0"}, {"openapi": "4.0"}])
def test_only_openapi_3(given: dict[str, Any]) -> None:
    """What else there is, is not guessed at."""
    with pytest.raises(SettingsError, match="OpenAPI 3"):
        auth_with().add_to_openapi(given)


@pytest.mark.parametrize("wrong", [{"mount": "api"}, {"mount": "/a/../b"}, {"protect": ["x"]}])
def test_wrong_paths_are_named(wrong: dict[str, Any]) -> None:
    """As `wrap` names them."""
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        auth_with().add_to_openapi(document(), **wrong)


@pytest.mark.parametrize(
    ("path", "security"),
    [
        ("/api/messages", BEARER_OR_PASSWORD),
        ("/api/messages/{id}", BEARER_OR_PASSWORD),
        ("/API/messages", BEARER_OR_PASSWORD),
        ("/api/messagesx", None),
        ("/api/messages/public", None),
        ("/api/feed", [{}, *BEARER_OR_PASSWORD]),
    ],
)
def test_operations_are_guarded_as_the_guard_guards_them(
    path: str, security: list[Any] | None
) -> None:
    """By the same prefixes; what may be refused says so."""
    operation = get_of(
        auth_with().add_to_openapi(
            own(path), protect=PROTECT, public=["/api/messages/public"], optional=["/api/feed"]
        ),
        path,
    )

    assert operation.get("security") == security
    answers = operation["responses"].keys()
    assert answers == ({"200", "400", "401", "503"} if security else {"200"})


def test_what_an_operation_asks_for_itself_is_asked_for_besides() -> None:
    """A key of one's own and the token; by itself or by the whole document; an own 401 stays."""
    both = [{"Key": [], "AuthPassword": []}, {"Key": [], "AuthBearer": []}]
    answers = {"200": {"description": "Done."}, "401": {"description": "Mine."}}
    by_itself = own(security=[{"Key": []}], responses=answers)
    by_document = {**own(), "security": [{"Key": []}]}
    for given in (by_itself, by_document):
        operation = get_of(auth_with().add_to_openapi(given, protect=PROTECT))
        assert operation["security"] == both
    merged = get_of(auth_with().add_to_openapi(by_itself, protect=PROTECT))
    assert merged["responses"]["401"] == {"description": "Mine."}
    optional = get_of(auth_with().add_to_openapi(by_itself, optional=PROTECT))
    assert optional["security"] == [{"Key": []}, *both]


def test_an_operation_at_the_path_of_an_endpoint_stays() -> None:
    """The document is the application's; what else is at that path is added."""
    given = own("/api/users", summary="Mine")

    merged = auth_with().add_to_openapi(given)

    assert get_of(merged, "/api/users")["summary"] == "Mine"
    assert merged["paths"]["/api/users"]["post"]["operationId"] == "Auth_sign_up"


@pytest.mark.parametrize(
    ("servers", "root_path", "url"),
    [
        ([], "", "/api/token"),
        ([{"url": "/"}], "", "/api/token"),
        ([{"url": "/v1"}], "", "/v1/api/token"),
        ([{"url": "https://example.com/v1/"}], "", "https://example.com/v1/api/token"),
        ([], "/v1", "/v1/api/token"),
        ([{"url": "https://example.com"}], "/v1", "/v1/api/token"),
    ],
)
def test_the_token_url_is_under_the_documents_server(
    servers: list[Any], root_path: str, url: str
) -> None:
    """From the root of the host: a relative one is resolved by each tool in its own way."""
    merged = auth_with().add_to_openapi(document(servers=servers), root_path=root_path)

    flows = merged["components"]["securitySchemes"]["AuthPassword"]["flows"]
    assert flows == {"password": {"tokenUrl": url, "scopes": {}}}


def test_what_is_disabled_is_not_there() -> None:
    """Nor refers to anything that is not."""
    auth = auth_with(disabled_endpoints=["token", "revoke_session", "sign_up"])

    merged = auth.add_to_openapi(own(), protect=PROTECT)

    validate(merged)
    assert get_of(merged)["security"] == [{"AuthBearer": []}]
    assert {"/api/token", "/api/users"}.isdisjoint(merged["paths"])
    listed = merged["paths"]["/api/sessions"]["get"]["responses"]["200"]
    assert "links" not in listed


def fastapi_app(auth: TokenAuth) -> FastAPI:
    class App(FastAPI):
        def openapi(self) -> dict[str, Any]:
            return auth.add_to_openapi(super().openapi(), protect=PROTECT)

    app = App()

    @app.get("/api/messages")
    async def messages(request: Request) -> dict[str, str]:
        return {"hello": request.user.display_name}

    @app.get("/api/keyed", dependencies=[])
    async def keyed() -> None:
        return None

    return app


async def served_document(service: Service, app: Any) -> Any:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return (await client.get("/openapi.json")).json()


async def test_fastapi_serves_it_and_answers_are_held_to_it(sqlite_url: str) -> None:
    """Its cache goes on working, and sees routes that come later."""
    async with running_service(sqlite_url) as service:
        app = fastapi_app(service.auth)
        wrapped = service.auth.wrap(app, protect=PROTECT)
        first, second = [await served_document(service, wrapped) for _ in range(2)]
        assert first == second
        assert app.openapi_schema is not None
        assert "/api/users" not in app.openapi_schema["paths"]
        validate(first)
        contract = ServedContract(first, "")
        await service.sign_up("ada@example.com")
        token = (await service.confirm("ada@example.com")).json()["token"]
        transport = httpx.ASGITransport(wrapped)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for path in ("/api/messages", "/api/account", "/api/sessions"):
                for given in (token, "x", ""):
                    headers = {"Authorization": f"Bearer {given}"} if given else {}
                    answer = await client.get(path, headers=headers)
                    assert answer.status_code == (200 if given == token else 401)
                    await contract.check(answer)
            await contract.check(
                await client.get("/api/messages", headers={"Authorization": "Bearer"})
            )

        @app.get("/api/messages/later", dependencies=[])
        async def later() -> None:
            return None

        assert get_of(await served_document(service, wrapped), "/api/messages/later")["security"]


def test_fastapi_with_a_scheme_of_its_own_has_both() -> None:
    """`HTTPBearer` of an operation is not lost."""
    from fastapi import Depends

    app = FastAPI()

    @app.get("/api/messages", dependencies=[Depends(HTTPBearer())])
    async def messages() -> None:
        return None

    merged = auth_with().add_to_openapi(app.openapi(), protect=PROTECT)

    validate(merged)
    assert get_of(merged)["security"] == [
        {"HTTPBearer": [], "AuthPassword": []},
        {"HTTPBearer": [], "AuthBearer": []},
    ]


def test_litestar_and_its_document() -> None:
    """Any framework that gives its document as a dictionary."""
    from litestar import Litestar, get

    @get("/api/messages", sync_to_thread=False)
    def messages() -> None:
        return None

    given = Litestar([messages], logging_config=None).openapi_schema.to_schema()
    merged = auth_with().add_to_openapi(given, protect=PROTECT)

    validate(json.loads(json.dumps(merged)))
    assert get_of(merged)["security"] == BEARER_OR_PASSWORD
