"""A gateway: authentication before an application that knows nothing of it, and is told who asks
in the header X-User-Id.

SECRET_KEY=$(asgi-token-auth generate-secret) python -m uvicorn examples.gateway:app
"""

import contextlib
import json
import os
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from asgi_token_auth import TokenAuth

auth = TokenAuth(
    database=os.environ.get("DATABASE_URL", "sqlite:///gateway.db"),
    secret_key=os.environ["SECRET_KEY"],
    email_sender="app@example.com",
)


async def plain_app(scope: Scope, receive: Receive, send: Send) -> None:
    """What is guarded: any ASGI application; this one greets whom the header names."""
    user_id = dict(scope["headers"]).get(b"x-user-id", b"stranger").decode()
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"hello": user_id}).encode()})


def telling_who_asks(app: ASGIApp) -> ASGIApp:
    """`app` with the user's id in X-User-Id, and never what a client wrote there. The id, as a name
    is whatever its owner chose, even somebody else's e-mail address."""

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        # To some applications X_User_Id is the same header.
        given = [(k, v) for k, v in scope["headers"] if k.replace(b"_", b"-") != b"x-user-id"]
        if scope["user"].is_authenticated:
            given.append((b"x-user-id", scope["user"].identity.encode()))
        await app({**scope, "headers": given}, receive, send)

    return told


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    await auth.create_tables()
    yield


served = Starlette(routes=[Mount("/", app=telling_who_asks(plain_app))], lifespan=lifespan)
app = auth.wrap(served, mount="/api", protect=["/api/messages"])
