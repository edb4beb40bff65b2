"""The web page: one HTML file, style and scripts, under a policy that lets nothing else run."""

import mimetypes
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FILES = Path(__file__).parent / "page"
ADDRESSES = (
    "/",
    "/sign-up",
    "/confirm",
    "/confirm-email",
    "/resend-confirmation",
    "/log-in",
    "/forgot-password",
    "/reset-password",
    "/messages",
    "/sessions",
    "/account",
)
# OWASP's Content Security Policy and HTTP Headers cheat sheets. 'self' covers the WebSocket, too;
# Trusted Types refuse text where markup or code is expected, and forms are sent by scripts alone.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
NEWEST = {"Cache-Control": "no-cache"}  # kept, but asked about: an updated demo is not half old

mimetypes.add_type("text/javascript", ".js")  # on some machines it is anything else


async def page(request: Request, status: int = 200) -> Response:
    """Every address is this page, whose scripts show what belongs there."""
    return FileResponse(FILES / "index.html", status, NEWEST)


async def not_found(request: Request, error: Exception) -> Response:
    """The page says so, and the API in its own way."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    if request.url.path.startswith("/api/"):
        return JSONResponse({"errors": {"base": "Not found"}}, status)
    return await page(request, status)


class Files(StaticFiles):
    """Scripts and style."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers.update(NEWEST)
        return response


def page_routes() -> list[BaseRoute]:
    """The page at each of its addresses, and its files."""
    return [*(Route(path, page) for path in ADDRESSES), Mount("/page", Files(directory=FILES))]


class SecurityHeaders:
    """Puts the policy on every answer of an application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
