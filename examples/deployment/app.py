"""The application that is deployed: routes of its own, as short as can be, in the account endpoints
and the guard. All settings are in the environment: messages.env and secrets.env."""

import logging

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_token_auth import TokenAuth

logging.basicConfig()
logging.getLogger("asgi_token_auth.events").setLevel(logging.INFO)  # who logged in, from where

auth = TokenAuth.from_env()


async def messages(request: Request) -> JSONResponse:
    return JSONResponse({"hello": request.user.display_name})


async def live(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


routes = [
    Route("/api/messages", messages, methods=["GET", "POST"]),
    WebSocketRoute("/api/messages/live", live),
    Route("/ready", auth.endpoints.ready),  # nginx lets nobody but this machine ask
]
app = auth.wrap(Starlette(routes=routes), mount="/api", protect=["/api/messages"])
