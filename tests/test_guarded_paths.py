"""What an unguarded application serves under a prefix, a guarded one refuses without a token."""

import asyncio
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from conftest import running_service
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from asgi_token_auth import MemoryTransport, SettingsError, TokenAuth, TokenAuthMiddleware
from asgi_token_auth.testing import Mailbox
from asgi_token_auth.testing import settings as settings_for_tests

SPELLINGS = [
    "/api/messages",
    "/api/messages/",
    "/api/messages/1",
    "//api/messages",
    "/api//messages",
    "/./api/messages",
    "/api/./messages",
    "/x/../api/messages",
    "/api/x/../messages",
    "/%61pi/messages",
    "/%2561pi/messages",
    "/api%2fmessages",
    "/api%252Fmessages",
    "/api\\messages",
    "/api/messages;x=1",
    "/api;x/messages",
    "/api/messages%00",
    "/api/messages%20",
    "/API/Messages",
    "/public/../api/messages",
    "/api/%2e%2e/api/messages",
]


@pytest.fixture
def auth(tmp_path: Any) -> TokenAuth:
    """Nobody has a token here, so no database is asked."""
    return TokenAuth(database=f"sqlite:///{tmp_path}/x.db", **settings_for_tests(Mailbox()))


async def secret(request: Request) -> PlainTextResponse:
    return PlainTextResponse("secret")


def read_leniently(path: str) -> list[str]:
    """The segments, for a router that decodes, folds case, and resolves all it can."""
    path = unquote(unquote(path)).lower().replace("\\", "/").replace("\0", "")
    segments: list[str] = []
    for segment in path.split("/"):
        name = segment.partition(";")[0].strip()
        if name == "..":
            del segments[-1:]
        elif name not in ("", "."):
            segments.append(name)
    return segments


async def lenient(scope: Scope, receive: Receive, send: Send) -> None:
    """Such a router."""
    found = read_leniently(scope["path"])[:2] == ["api", "messages"]
    await PlainTextResponse("secret", 200 if found else 404)(scope, receive, send)


APPS: dict[str, ASGIApp] = {
    "route": Starlette(routes=[Route("/api/messages", secret, methods=["GET", "POST", "OPTIONS"])]),
    "mount": Starlette(routes=[Mount("/api", routes=[Route("/messages{rest:path}", secret)])]),
    "parameter": Starlette(routes=[Route("/{a}/messages", secret), Route("/api/{b}", secret)]),
    "lenient": lenient,
}


async def status(
    app: ASGIApp, path: str, root: str = "", method: str = "GET", **headers: str
) -> int:
    """The answer's status to a path as a server would put it into the scope."""
    answered: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        answered.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": root,
        "query_string": b"",
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
    }
    await app(scope, receive, send)
    return int(answered[0]["status"])


@pytest.mark.parametrize("root", ["", "/v1"])
@pytest.mark.parametrize("kind", APPS)
async def test_whatever_is_served_unguarded_is_refused_guarded(
    auth: TokenAuth, kind: str, root: str
) -> None:
    """In every spelling, with the root path in the path (uvicorn) or not (hypercorn)."""
    guarded = TokenAuthMiddleware(APPS[kind], auth=auth, protect=["/api/messages"])
    served = 0

    for spelling in SPELLINGS:
        for path in {spelling, root + spelling}:
            for method in ("GET", "HEAD", "POST", "OPTIONS", "QUERY"):
                if await status(APPS[kind], path, root, method) == 200:
                    served += 1
                    assert await status(guarded, path, root, method) == 401, (path, method)

    assert served


@pytest.mark.parametrize("within", [False, True])
async def test_a_root_path_that_the_application_sets_by_itself_opens_nothing(
    auth: TokenAuth, within: bool
) -> None:
    """FastAPI's: whoever asks for it in the path has it taken off by the router alone."""
    application = FastAPI()
    application.root_path = "/v1"
    for path in ("/api/messages", "/api/messages/open", "/page"):
        application.add_api_route(path, lambda: "secret", methods=["GET"])
    inner: ASGIApp = GZipMiddleware(application) if within else application
    prefixes = {"protect": ["/api/messages"], "public": ["/api/messages/open"]}

    for guarded in (
        TokenAuthMiddleware(inner, auth=auth, **prefixes),
        auth.wrap(inner, mount="/api", **prefixes),
    ):
        for root in ("", "/v1", "/v2"):
            for path in ("/api/messages", "/v1/api/messages", "/v1//api/messages"):
                assert await status(guarded, path, root) == 401, (path, root)
            assert await status(guarded, "/v1/page", root) == 200
            assert await status(guarded, "/page", root) == 200
            assert await status(guarded, "/v1/api/messages/open", root) == 200
    assert await status(inner, "/v1/api/messages") == 200


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=st.lists(
        st.sampled_from(
            ["api", "messages", "/", "//", ".", "..", "%2f", "%2e", "%61", ";", "%00", "x", "\\"]
        ),
        max_size=9,
    ).map(lambda parts: "/" + "".join(parts))
)
async def test_no_generated_path_gets_through(auth: TokenAuth, path: str) -> None:
    """The same, for paths nobody thought of."""
    guarded = TokenAuthMiddleware(lenient, auth=auth, protect=["/api/messages"])

    if await status(lenient, path) == 200:
        assert await status(guarded, path) == 401


async def test_inside_a_mount_the_prefix_counts_from_there(auth: TokenAuth) -> None:
    """The guard sees what the router below it sees."""
    guarded = TokenAuthMiddleware(APPS["route"], auth=auth, protect=["/api/messages"])
    outer = Starlette(routes=[Mount("/outer", app=guarded)])

    assert await status(outer, "/outer/api/messages") == 401


@pytest.mark.parametrize("path", ["/files/1", "/%66iles/1", "/x/../files/1", "/files"])
async def test_a_router_may_shorten_the_path_before_the_guard_sees_it(
    auth: TokenAuth, path: str
) -> None:
    """As Litestar's mounts do: then the path counts as the client sent it."""
    guarded = TokenAuthMiddleware(lenient, auth=auth, protect=["/files"])

    async def router(scope: Scope, receive: Receive, send: Send) -> None:
        await guarded({**scope, "path": "/api/messages"}, receive, send)

    assert await status(router, path) == 401
    assert await status(router, "/elsewhere") == 200


async def test_prefixes_match_on_segment_boundaries(auth: TokenAuth) -> None:
    """/apix is not /api."""
    app = Starlette(routes=[Route("/{path:path}", secret)])
    guarded = TokenAuthMiddleware(app, auth=auth, protect=["/api/messages", "/b/"])

    for path, expected in {
        "/api/messagesx": 200,
        "/api": 200,
        "/apix/messages": 200,
        "/b": 401,
        "/b/c": 401,
        "/bc": 200,
    }.items():
        assert await status(guarded, path) == expected, path


async def test_public_and_optional_paths_are_excepted_in_their_plain_spelling_only(
    auth: TokenAuth,
) -> None:
    """A path that two routers read in two ways is not public."""
    app = Starlette(routes=[Route("/{path:path}", secret)])
    guarded = TokenAuthMiddleware(
        app, auth=auth, protect=["/api"], public=["/api/public"], optional=["/api/optional"]
    )

    for path, expected in {
        "/api/public": 200,
        "/api/public/x": 200,
        "/api/publicx": 401,
        "/api/public/../secret": 401,
        "/api//public": 401,
        "/api/public/%252e%252e/secret": 401,
        "/api/optional": 200,
    }.items():
        assert await status(guarded, path) == expected, path
    assert await status(guarded, "/api/optional", authorization="Bearer bad") == 401
    assert await status(guarded, "/api/public", authorization="Bearer bad") == 200


async def test_a_preflight_passes_and_another_options_does_not(auth: TokenAuth) -> None:
    """Browsers send no credentials with a CORS preflight."""
    guarded = TokenAuthMiddleware(APPS["route"], auth=auth, protect=["/api/messages"])
    headers = {"origin": "https://app.example.com", "access_control_request_method": "POST"}

    assert await status(guarded, "/api/messages", method="OPTIONS", **headers) == 200
    assert await status(guarded, "/api/messages", method="OPTIONS") == 401
    assert await status(guarded, "/api/messages", method="GET", **headers) == 401


async def test_nobody_presets_the_user(auth: TokenAuth) -> None:
    """What stands in the scope comes from a verified token, or is the anonymous user."""
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["user"])

    guarded = TokenAuthMiddleware(app, auth=auth, protect=["/api"])
    scope = {"type": "http", "path": "/open", "headers": [], "user": "admin", "auth": "all"}
    await guarded(scope, None, None)  # type: ignore[arg-type]

    assert not seen[0].is_authenticated
    assert scope["user"] == "admin"


@pytest.mark.parametrize("denial", [True, False])
async def test_a_websocket_is_refused_before_it_is_accepted(auth: TokenAuth, denial: bool) -> None:
    """With a real 401 where the server can."""
    guarded = TokenAuthMiddleware(APPS["route"], auth=auth, protect=["/api"])
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    extensions = {"websocket.http.response": {}} if denial else {}
    scope = {"type": "websocket", "path": "/api/x", "headers": [], "extensions": extensions}
    await guarded(scope, receive, send)

    if denial:
        assert (sent[0]["type"], sent[0]["status"]) == ("websocket.http.response.start", 401)
    else:
        assert sent == [{"type": "websocket.close", "code": 1008, "reason": ""}]


async def test_refusals_are_those_of_rfc_6750(sqlite_url: str) -> None:
    """No credentials, no error code; bad ones, a reason; two headers, a bad request."""
    async with running_service(sqlite_url) as service:
        token = (await service.new_user())["token"]
        cases: list[tuple[list[tuple[str, bytes]], int, str]] = [
            ([], 401, 'Bearer realm="api"'),
            ([("Authorization", b"Basic eDp5")], 401, 'Bearer realm="api"'),
            ([("Authorization", b"Bearer bad")], 401, 'error="invalid_token"'),
            ([("Authorization", b"Bearer")], 400, 'error="invalid_request"'),
            ([("Authorization", b"Bearer " + token.encode())] * 2, 400, 'error="invalid_request"'),
            ([("Authorization", b"bEARER " + token.encode())], 200, ""),
        ]
        for headers, expected, challenge in cases:
            answer = await service.client.get("/api/messages", headers=headers)
            assert answer.status_code == expected, headers
            assert challenge in answer.headers.get("www-authenticate", "")
            assert ("error" in answer.headers.get("www-authenticate", "")) == ("error" in challenge)


async def test_a_token_in_the_query_or_in_a_form_is_not_looked_at(sqlite_url: str) -> None:
    """Both end in logs, and in referrers (RFC 9700, 4.3.2)."""
    async with running_service(sqlite_url) as service:
        token = (await service.new_user())["token"]
        for name in ("access_token", "token"):
            asked = service.client.request(
                "POST", f"/api/messages?{name}={token}", data={name: token}
            )
            assert (await asked).status_code == 401


async def test_a_hundred_users_at_once_each_get_their_own_answer(sqlite_url: str) -> None:
    """Nothing of a request is kept where another could find it."""
    async with running_service(sqlite_url) as service:
        emails = [f"user-{number}@example.com" for number in range(100)]
        tokens = [(await service.new_user(email))["token"] for email in emails]
        for _ in range(3):
            asked = (service.call("GET", "/api/messages", token=token) for token in tokens)
            answers = await asyncio.gather(*asked)
            assert [answer.json()["email"] for answer in answers] == emails


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(value=st.binary(max_size=200))
async def test_any_bytes_in_authorization_are_refused(auth: TokenAuth, value: bytes) -> None:
    """Never through, never a server error."""
    guarded = TokenAuthMiddleware(APPS["route"], auth=auth, protect=["/api"])
    answered: list[Any] = []

    async def send(message: Any) -> None:
        answered.append(message)

    for header in (value, b"Bearer " + value):
        scope = {"type": "http", "path": "/api/messages", "method": "GET"}
        scope |= {"headers": [(b"authorization", header)]}
        await guarded(scope, None, send)  # type: ignore[arg-type]
        assert answered[-2]["status"] in (400, 401)


@pytest.mark.parametrize("prefix", ["api", "", "/api/../x", "/a//b", "/a%2fb"])
def test_a_prefix_that_would_guard_nothing_is_refused(auth: TokenAuth, prefix: str) -> None:
    """At construction, not in production."""
    with pytest.raises(SettingsError):
        TokenAuthMiddleware(lenient, auth=auth, protect=[prefix])
    with pytest.raises(SettingsError):
        TokenAuthMiddleware(lenient, auth=auth, protect="/api")


async def test_the_sub_app_is_open_under_a_protected_mount(sqlite_url: str) -> None:
    """protect=["/api"] must not lock sign-up away; the rest under it is guarded."""
    options = settings_for_tests(Mailbox())
    auth = TokenAuth(database=sqlite_url, **{**options, "mail_transport": MemoryTransport()})
    await auth.create_tables()
    app = auth.wrap(lenient, mount="/api", protect=["/api"])
    user = {"user": {"username": "ada", "password": "secret"}}
    transport = httpx.ASGITransport(app)

    async with auth, httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        assert (await client.post("/api/users", json=user)).status_code == 200
        assert (await client.get("/api/messages")).status_code == 401
        assert (await client.get("/api/account")).status_code == 401
        assert (await client.get("/elsewhere")).status_code == 404
