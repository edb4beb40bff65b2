"""FastAPI, piece by piece, with the user as a dependency.

SECRET_KEY=$(asgi-token-auth generate-secret) python -m uvicorn examples.fastapi_app:app
"""

import contextlib
import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, WebSocket

from asgi_token_auth import TokenAuth, TokenAuthMiddleware, User

auth = TokenAuth(
    database=os.environ.get("DATABASE_URL", "sqlite:///fastapi_app.db"),
    secret_key=os.environ["SECRET_KEY"],
    email_sender="app@example.com",
)
PROTECT = ["/api/messages"]


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await auth.create_tables()
    yield


class App(FastAPI):
    """Its /docs has the account endpoints, and an Authorize that logs in."""

    def openapi(self) -> dict[str, Any]:
        return auth.add_to_openapi(super().openapi(), mount="/api", protect=PROTECT)


app = App(lifespan=lifespan)
app.add_middleware(TokenAuthMiddleware, auth=auth, protect=PROTECT)


def current_user(request: Request) -> User:
    user: User = request.user
    return user


@app.get("/api/messages")
async def messages(user: Annotated[User, Depends(current_user)]) -> dict[str, str]:
    return {"hello": user.display_name}


@app.websocket("/api/messages/live")
async def live(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json({"hello": websocket.user.display_name})


app.mount("/api", auth.app)  # after the app's own routes: the first that matches is taken
