"""The application: its own routes, wrapped in the account endpoints and the guard."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from asgi_token_auth import Event, FileTransport, TokenAuth
from examples.messages.live import Listeners
from examples.messages.mailbox import Mailbox
from examples.messages.pages import SecurityHeaders, not_found, page_routes
from examples.messages.storage import Messages

MAXIMUM_CHARACTERS = 2000
MAXIMUM_BYTES = 16 * 1024
# After the #, which browsers send to no server: a token there gets into no log.
SECRETS = "#id={user_id}&token={token}"


def build_app(database_url: str, mail_dir: Path, secret_key: str, base_url: str) -> ASGIApp:
    """The demo as one ASGI application; `base_url` is where browsers reach it."""
    messages, listeners, mailbox = Messages(database_url), Listeners(), Mailbox(mail_dir)

    async def forget(event: Event) -> None:
        if event.event == "account_deleted":
            await messages.delete(str(event.user_id))

    auth = TokenAuth(
        database=database_url,
        secret_key=secret_key,
        email_sender="demo@example.com",
        mail_transport=FileTransport(mail_dir),
        mail_templates=Path(__file__).parent / "mail_templates",
        confirmation_url=f"{base_url}/confirm{SECRETS}",
        password_reset_url=f"{base_url}/reset-password{SECRETS}",
        email_change_url=f"{base_url}/confirm-email{SECRETS}",
        on_event=forget,
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await auth.create_tables()
        async with messages:
            yield

    async def list_messages(request: Request) -> JSONResponse:
        return JSONResponse({"messages": await messages.of(request.user.identity)})

    async def post_message(request: Request) -> JSONResponse:
        status, text = await read_text(request)
        if status != 200:
            return JSONResponse({"errors": {"text": text}}, status)
        message = await messages.add(request.user.identity, text)
        await listeners.tell(request.user.identity, message)
        return JSONResponse({"message": message})

    async def live(websocket: WebSocket) -> None:
        await listeners.serve(websocket, websocket.user.identity)

    routes = [
        *page_routes(),
        Route("/dev/mailbox", mailbox.page),
        Route("/dev/mailbox.json", mailbox.json),
        Route("/api/messages", list_messages),
        Route("/api/messages", post_message, methods=["POST"]),
        WebSocketRoute("/api/messages/live", live),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: not_found})
    return SecurityHeaders(auth.wrap(app, mount="/api", protect=["/api/messages"]))


async def read_text(request: Request) -> tuple[int, str]:
    """200 and the message's text, or the status and what is wrong with it."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAXIMUM_BYTES:
            return 413, "is too long"
    try:
        content: Any = json.loads(body)
        text = content["message"]["text"]
    except (ValueError, RecursionError):
        return 400, "is not JSON"
    except (KeyError, TypeError):
        return 422, "can't be blank"
    return _checked(text)


def _checked(text: object) -> tuple[int, str]:
    if not isinstance(text, str) or not text.strip():
        return 422, "can't be blank"
    # PostgreSQL stores no NUL, and no database half a character.
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        return 422, "invalid"
    return (200, text) if len(text) <= MAXIMUM_CHARACTERS else (422, "is too long")
