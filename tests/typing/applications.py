"""Type-checked, never run: the guard around applications of every framework, as users write it."""

from collections.abc import Awaitable, Callable
from typing import Any, assert_type

import hypercorn.asyncio
import hypercorn.config
import uvicorn
from django.core.asgi import get_asgi_application
from fastapi import FastAPI
from litestar import Litestar
from quart import Quart
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from asgi_token_auth import Readiness, TokenAuth, TokenAuthMiddleware, User

auth = TokenAuth.from_env()


async def bare(scope: dict[str, Any], receive: Any, send: Any) -> None: ...


def not_asynchronous(scope: Any, receive: Any, send: Any) -> None: ...


def wrapped() -> None:
    apps: list[ASGIApp] = [
        auth.wrap(Starlette(), mount="/api", protect=["/api/messages"]),
        auth.wrap(FastAPI(), protect=("/",), public=["/docs"], optional=["/home"]),
        auth.wrap(Litestar([])),
        auth.wrap(Quart("shop")),
        auth.wrap(Quart("shop").asgi_app),
        auth.wrap(get_asgi_application()),
        auth.wrap(bare),
        auth.wrap(auth.wrap(auth.app)),
    ]
    assert len(apps) == 8
    auth.wrap(not_asynchronous)  # type: ignore[arg-type]
    auth.wrap("app:app")  # type: ignore[arg-type]
    auth.wrap(bare, guard=["/"])  # type: ignore[call-arg]
    auth.wrap(bare, protect=[b"/"])  # type: ignore[list-item]


def quart_as_quart_has_it() -> None:
    app = Quart("shop")
    app.asgi_app = auth.wrap(app.asgi_app)  # type: ignore[method-assign]


def one_path_is_no_list_of_paths() -> None:
    """Which no type tells: text is a sequence of texts. It is refused when it is constructed."""
    auth.wrap(bare, protect="/api")


def middleware() -> None:
    Starlette(
        routes=[Mount("/api", app=auth.app), Route("/login", auth.endpoints.log_in)],
        middleware=[
            Middleware(CORSMiddleware, allow_origins=["https://example.com"]),
            Middleware(TokenAuthMiddleware, auth=auth, protect=["/api"], public=["/api/sessions"]),
        ],
    )
    Middleware(TokenAuthMiddleware, auth=auth)  # type: ignore[call-arg]
    Middleware(TokenAuthMiddleware, auth="auth", protect=["/"])  # type: ignore[arg-type]
    app = FastAPI()
    app.add_middleware(TokenAuthMiddleware, auth=auth, protect=["/"])
    app.mount("/api", auth.app)
    guarded = TokenAuthMiddleware(Litestar([]), auth=auth, protect=["/"])
    assert_type(guarded, TokenAuthMiddleware)
    Mount("/below", app=guarded)


async def served() -> None:
    uvicorn.run(auth.wrap(Starlette()))
    await hypercorn.asyncio.serve(auth.wrap(Starlette()), hypercorn.config.Config())


def endpoints() -> None:
    each: list[Callable[[Request], Awaitable[Response]]] = [
        auth.endpoints.sign_up,
        auth.endpoints.confirm,
        auth.endpoints.resend_confirmation,
        auth.endpoints.log_in,
        auth.endpoints.list_sessions,
        auth.endpoints.log_out,
        auth.endpoints.rename_session,
        auth.endpoints.revoke_session,
        auth.endpoints.request_password_reset,
        auth.endpoints.reset_password,
        auth.endpoints.show_account,
        auth.endpoints.update_account,
        auth.endpoints.delete_account,
        auth.endpoints.list_events,
        auth.endpoints.jwks,
        auth.endpoints.ready,
        auth.endpoints.openapi,
        auth.endpoints.docs,
        auth.endpoints.token,
    ]
    assert each
    auth.endpoints.login  # type: ignore[attr-defined]  # noqa: B018


async def messages(request: Request) -> JSONResponse:
    user: User = request.user
    assert_type(user.email, str | None)
    assert_type(user.display_name, str)
    assert_type(user.identity, str)
    assert_type(user.confirmed_at, int | None)
    user.email = "eve@example.com"  # type: ignore[misc]
    return JSONResponse({"hello": user.display_name, "team": user.team})


def own_document() -> None:
    assert_type(auth.add_to_openapi(FastAPI().openapi(), protect=["/"]), dict[str, Any])
    auth.add_to_openapi("openapi.json")  # type: ignore[arg-type]


async def by_hand() -> None:
    async with auth as same:
        assert_type(same, TokenAuth)
    await auth.startup()
    await auth.create_tables()
    await auth.migrate()
    assert_type(await auth.migration_sql(), str)
    assert_type(await auth.ready(), Readiness)
    await auth.forget(1)
    await auth.shutdown()
