"""Around each framework, and piece by piece inside one."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from asgi_token_auth import TokenAuth, TokenAuthMiddleware
from asgi_token_auth.testing import Mailbox
from asgi_token_auth.testing import settings as settings_for_tests

USER = {"username": "ada", "password": "secret"}
PROTECT = ["/api/messages"]


@pytest.fixture
async def auth(sqlite_url: str) -> AsyncIterator[TokenAuth]:
    built = TokenAuth(database=sqlite_url, **settings_for_tests(Mailbox()))
    await built.create_tables()
    await built.accounts.sign_up(**USER)
    yield built
    await built.shutdown()


@requires("authenticated")
async def starlette_messages(request: Request) -> JSONResponse:
    return JSONResponse({"id": request.user.id})


def starlette_app() -> ASGIApp:
    return Starlette(routes=[Route("/api/messages", starlette_messages)])


def fastapi_app() -> ASGIApp:
    from fastapi import FastAPI
    from fastapi import Request as FastAPIRequest

    app = FastAPI()

    @app.get("/api/messages")
    async def messages(request: FastAPIRequest) -> dict[str, int]:
        return {"id": request.user.id}

    return app


def litestar_app(**options: Any) -> ASGIApp:
    import litestar

    @litestar.get("/api/messages")
    async def messages(request: litestar.Request[Any, Any, Any]) -> dict[str, int]:
        return {"id": request.user.id}

    return litestar.Litestar([messages], **options)  # type: ignore[return-value]


def quart_app() -> ASGIApp:
    import quart

    app = quart.Quart("quart_app")

    @app.get("/api/messages")
    async def messages() -> dict[str, int]:
        return {"id": quart.request.scope["user"].id}  # type: ignore[typeddict-item]

    return app  # type: ignore[return-value]


def django_messages(request: Any) -> Any:
    from django.http import JsonResponse

    return JsonResponse({"id": request.scope["user"].id})


def django_app() -> ASGIApp:
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.urls import path

    if not settings.configured:
        urls = type("urls", (), {"urlpatterns": [path("api/messages", django_messages)]})
        settings.configure(ROOT_URLCONF=urls, SECRET_KEY="x" * 50, ALLOWED_HOSTS=["*"])
        django.setup()
    return get_asgi_application()  # type: ignore[no-any-return]


APPS = {
    "starlette": starlette_app,
    "fastapi": fastapi_app,
    "litestar": litestar_app,
    "quart": quart_app,
    "django": django_app,
}


@contextlib.asynccontextmanager
async def client_of(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def check(app: ASGIApp, login: str = "/api/sessions") -> None:
    """Refused without a token, served with one, and the user is the one who logged in."""
    async with client_of(app) as client:
        assert (await client.get("/api/messages")).status_code == 401
        token = (await client.post(login, json=USER)).json()["token"]
        answer = await client.get("/api/messages", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()) == (200, {"id": 1})


@pytest.mark.parametrize("name", APPS)
async def test_wrapped_around_each_framework(auth: TokenAuth, name: str) -> None:
    """One call, whatever is inside."""
    await check(auth.wrap(APPS[name](), mount="/api", protect=PROTECT))


async def test_piece_by_piece_in_starlette(auth: TokenAuth) -> None:
    """In the framework's own idiom."""
    routes = [Route("/api/messages", starlette_messages), Mount("/api", app=auth.app)]
    middleware = [Middleware(TokenAuthMiddleware, auth=auth, protect=PROTECT)]

    await check(Starlette(routes=routes, middleware=middleware))


async def test_piece_by_piece_in_fastapi(auth: TokenAuth) -> None:
    """In the framework's own idiom."""
    app: Any = fastapi_app()
    app.mount("/api", auth.app)
    app.add_middleware(TokenAuthMiddleware, auth=auth, protect=PROTECT)

    await check(app)


async def test_as_a_middleware_of_litestar(auth: TokenAuth) -> None:
    """What is mounted is guarded too, though Litestar takes the mount's prefix off the path before
    it comes to its middlewares."""
    import litestar
    from litestar.middleware import DefineMiddleware

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse({"id": scope["user"].id})(scope, receive, send)

    guard = DefineMiddleware(TokenAuthMiddleware, auth=auth, protect=[*PROTECT, "/files"])
    app: Any = litestar_app(middleware=[guard])
    app.register(litestar.asgi("/files", is_mount=True, copy_scope=True)(mounted))
    login = await auth.accounts.log_in(**USER)

    async with client_of(app) as client:
        for path in ("/api/messages", "/files/1"):
            assert (await client.get(path)).status_code == 401
            answer = await client.get(path, headers={"Authorization": f"Bearer {login.token}"})
            assert (answer.status_code, answer.json()) == (200, {"id": 1})


async def test_single_endpoints_in_own_routes(auth: TokenAuth) -> None:
    """Errors are answered there too, without the sub-app around."""
    routes = [
        Route("/api/messages", starlette_messages),
        Route("/login", auth.endpoints.log_in, methods=["POST"]),
    ]
    app = TokenAuthMiddleware(Starlette(routes=routes), auth=auth, protect=PROTECT)

    await check(app, "/login")
    async with client_of(app) as client:
        wrong = await client.post("/login", json={**USER, "password": "wrong one"})
        assert wrong.json() == {"errors": {"base": "Unknown email or password"}}


async def test_an_anonymous_user_is_in_the_scope_elsewhere(auth: TokenAuth) -> None:
    """@requires answers as its users expect."""
    app = auth.wrap(Starlette(routes=[Route("/x", starlette_messages)]), protect=PROTECT)

    async with client_of(app) as client:
        assert (await client.get("/x")).status_code == 403


async def test_paths_under_the_mount_that_are_not_ours_reach_the_app(auth: TokenAuth) -> None:
    """The sub-app takes only what is its own; alone, it answers in JSON."""

    async def own(request: Request) -> JSONResponse:
        return JSONResponse("the app's own")

    app = auth.wrap(Starlette(routes=[Route("/api/{x}", own)]), mount="/api", protect=PROTECT)

    async with client_of(app) as client:
        assert (await client.get("/api/reports")).json() == "the app's own"
        assert (await client.get("/api/users")).status_code == 405
    async with client_of(auth.app) as client:
        for method, path, status in (("GET", "/nope", 404), ("PUT", "/users", 405)):
            answer = await client.request(method, path)
            assert (answer.status_code, list(answer.json())) == (status, ["errors"])


async def lifespan(app: ASGIApp) -> list[str]:
    """What a server hears when it starts and stops an application."""
    told = iter(["lifespan.startup", "lifespan.shutdown"])
    heard: list[str] = []

    async def receive() -> Any:
        return {"type": next(told)}

    async def send(message: Any) -> None:
        heard.append(message["type"])

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    return heard


COMPLETE = ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_the_lifespan_of_the_app_runs_within_ours(auth: TokenAuth) -> None:
    """Its state is its own, and its failure is the server's to know."""
    events: list[str] = []

    @contextlib.asynccontextmanager
    async def good(app: Starlette) -> AsyncIterator[None]:
        events.append("started")
        yield
        events.append("stopped")

    @contextlib.asynccontextmanager
    async def bad(app: Starlette) -> AsyncIterator[None]:
        raise RuntimeError("no")
        yield

    assert await lifespan(auth.wrap(Starlette(lifespan=good), protect=PROTECT)) == COMPLETE
    assert events == ["started", "stopped"]
    with pytest.raises(RuntimeError, match="no"):
        await lifespan(auth.wrap(Starlette(lifespan=bad), protect=PROTECT))


async def test_an_app_that_knows_no_lifespan_starts_and_stops(auth: TokenAuth) -> None:
    """Django raises; another returns at once."""

    async def raises(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("Django can only handle ASGI/HTTP connections")

    async def returns(scope: Scope, receive: Receive, send: Send) -> None:
        return None

    for app in (raises, returns):
        assert await lifespan(auth.wrap(app, protect=PROTECT)) == COMPLETE
