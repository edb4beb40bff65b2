"""Quart, wrapped where Quart expects it, so that `app` remains a Quart.

SECRET_KEY=$(asgi-token-auth generate-secret) python -m uvicorn examples.quart_app:app
"""

import os

from quart import Quart, request, websocket

from asgi_token_auth import TokenAuth

auth = TokenAuth(
    database=os.environ.get("DATABASE_URL", "sqlite:///quart_app.db"),
    secret_key=os.environ["SECRET_KEY"],
    email_sender="app@example.com",
)
app = Quart(__name__)
app.asgi_app = auth.wrap(app.asgi_app, mount="/api", protect=["/api/messages"])


@app.before_serving
async def create_tables() -> None:
    await auth.create_tables()


@app.get("/api/messages")
async def messages() -> dict[str, str]:
    return {"hello": request.scope["user"].display_name}


@app.websocket("/api/messages/live")
async def live() -> None:
    await websocket.send_json({"hello": websocket.scope["user"].display_name})
