"""Swagger UI in a real browser: Authorize logs in, and what is then tried out carries the token."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
import uvicorn
from async_chromium import Watched, chromium, serve_swagger_ui
from fastapi import Depends, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.security import OAuth2PasswordBearer
from playwright.async_api import Browser, Locator, Page, expect
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from asgi_token_auth import TokenAuth, TokenAuthMiddleware
from asgi_token_auth.testing import Mailbox, settings

USER = {"username": "ada", "password": "secret"}
GUARD: dict[str, Any] = {"mount": "/api", "protect": ["/api/messages"]}


@pytest.fixture
async def auth(sqlite_url: str) -> AsyncIterator[TokenAuth]:
    built = TokenAuth(database=sqlite_url, **settings(Mailbox()))
    await built.create_tables()
    await built.accounts.sign_up(**USER)
    yield built
    await built.shutdown()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@contextlib.asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """The application behind a real server; where it is."""
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="critical"))
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve([listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await serving


def merged_app(auth: TokenAuth, root_path: str = "") -> FastAPI:
    """FastAPI, the account endpoints in its document."""

    class App(FastAPI):
        def openapi(self) -> dict[str, Any]:
            return auth.add_to_openapi(super().openapi(), root_path=root_path, **GUARD)

    app = App()

    @app.get("/api/messages")
    async def messages(request: Request) -> dict[str, str]:
        return {"hello": request.user.display_name}

    return app


def wrapped(auth: TokenAuth) -> ASGIApp:
    return auth.wrap(merged_app(auth), **GUARD)


def mounted(auth: TokenAuth) -> ASGIApp:
    app = merged_app(auth)
    app.mount("/api", auth.app)
    app.add_middleware(TokenAuthMiddleware, auth=auth, protect=GUARD["protect"])
    return app


def under_a_root(auth: TokenAuth) -> ASGIApp:
    inner = auth.wrap(merged_app(auth, "/v1"), **GUARD)
    return Starlette(routes=[Mount("/v1", app=inner)])


def own_scheme(auth: TokenAuth) -> ASGIApp:
    """An application that merges nothing, and names the endpoint to FastAPI itself."""
    app = FastAPI()
    scheme = OAuth2PasswordBearer(tokenUrl="/api/token")

    @app.get("/api/messages")
    async def messages(request: Request, token: Annotated[str, Depends(scheme)]) -> dict[str, str]:
        return {"hello": request.user.display_name}

    return auth.wrap(app, **GUARD)


def our_document(auth: TokenAuth) -> ASGIApp:
    """A page elsewhere that shows /api/openapi.json as it is served."""

    async def swagger(request: Any) -> Any:
        return get_swagger_ui_html(openapi_url="/v1/api/openapi.json", title="Accounts")

    inner = auth.wrap(Starlette(), mount="/api")
    return Starlette(routes=[Route("/docs", swagger), Mount("/v1", app=inner)])


async def open_swagger(browser: Browser, url: str) -> Watched:
    watched = Watched(await browser.new_page())
    await serve_swagger_ui(watched.page)
    await watched.page.goto(url)
    return watched


async def authorize(page: Page, password: str) -> Locator:
    """Fills in the form behind Authorize; its place in the page."""
    await page.locator(".auth-wrapper .authorize").first.click()
    form = page.locator(".auth-container").filter(has_text="(OAuth2, password)")
    await form.locator("#oauth_username").fill("ada")
    await form.locator("#oauth_password").fill(password)
    await form.locator("button.authorize").click()
    return form


async def try_out(page: Page, path: str) -> Locator:
    """Sends the GET of that path; its answer's place in the page."""
    block = page.locator(".opblock-get").filter(has=page.locator(f'[data-path="{path}"]'))
    if await block.locator(".try-out__btn").count() == 0:
        await block.locator(".opblock-summary-control").click()
        await block.locator(".try-out__btn").click()
    await block.locator("button.execute").click()
    return block.locator(".live-responses-table")


@pytest.mark.parametrize(
    ("build", "page", "path"),
    [
        (wrapped, "/docs", "/api/messages"),
        (mounted, "/docs", "/api/messages"),
        (under_a_root, "/v1/docs", "/api/messages"),
        (own_scheme, "/docs", "/api/messages"),
        (our_document, "/docs", "/account"),
    ],
)
async def test_authorize_logs_in(
    auth: TokenAuth, browser: Browser, build: Any, page: str, path: str
) -> None:
    """A protected operation is refused, and then, with nothing typed but the login, served."""
    async with served(build(auth)) as url:
        watched = await open_swagger(browser, url + page)
        answer = await try_out(watched.page, path)
        await expect(answer.locator("tr.response .response-col_status")).to_contain_text("401")

        form = await authorize(watched.page, "secret")
        await expect(form.get_by_text("Authorized", exact=True)).to_be_visible()
        await form.locator(".btn-done").click()
        answer = await try_out(watched.page, path)

        await expect(answer.locator("tr.response .response-col_status")).to_contain_text("200")
        await expect(answer).to_contain_text("ada")


async def test_authorize_says_what_is_wrong(auth: TokenAuth, browser: Browser) -> None:
    """In the words of the login."""
    async with served(wrapped(auth)) as url:
        watched = await open_swagger(browser, url + "/docs")
        form = await authorize(watched.page, "wrong one")

        await expect(form.locator(".errors")).to_contain_text("Unknown email or password")
