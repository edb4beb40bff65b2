"""Litestar, wrapped in one call.

SECRET_KEY=$(asgi-token-auth generate-secret) python -m uvicorn examples.litestar_app:app
"""

import os
from typing import Any

from litestar import Litestar, Request, WebSocket, get, websocket

from asgi_token_auth import TokenAuth

auth = TokenAuth(
    database=os.environ.get("DATABASE_URL", "sqlite:///litestar_app.db"),
    secret_key=os.environ["SECRET_KEY"],
    email_sender="app@example.com",
)


@get("/api/messages")
async def messages(request: Request[Any, Any, Any]) -> dict[str, str]:
    return {"hello": request.user.display_name}


@websocket("/api/messages/live")
async def live(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.send_json({"hello": socket.user.display_name})


# Around the whole application: Litestar's own middlewares hear nothing of its lifespan.
app = auth.wrap(
    Litestar([messages, live], on_startup=[auth.create_tables]),
    mount="/api",
    protect=["/api/messages"],
)
