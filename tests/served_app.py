"""An application to be run by servers: DATABASE_URL says where its users are, TOKEN_AUTH_... what
is otherwise than in most tests."""

import os
import tempfile

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_token_auth import FileTransport, TokenAuth
from asgi_token_auth.passwords import cheapest_context
from asgi_token_auth.testing import SECRET_KEY


async def messages(request: Request) -> JSONResponse:
    return JSONResponse({"user": request.user.display_name, "process": os.getpid()})


async def live(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(websocket.user.display_name)
    await websocket.close()


async def stay(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


usual = {
    "TOKEN_AUTH_DATABASE": os.environ["DATABASE_URL"],
    "TOKEN_AUTH_SECRET_KEY": SECRET_KEY,
    "TOKEN_AUTH_EMAIL_SENDER": "app@example.com",
}
auth = TokenAuth.from_env(
    usual | os.environ,
    mail_transport=FileTransport(tempfile.mkdtemp()),
    password_context=cheapest_context(),
    limits=None,
)
routes = [Route("/api/messages", messages), WebSocketRoute("/api/messages/live", live)]
routes += [WebSocketRoute("/api/messages/stay", stay)]
app = auth.wrap(Starlette(routes=routes), mount="/api", protect=["/api/messages"])
