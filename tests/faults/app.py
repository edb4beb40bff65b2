"""What the workers serve: settings from TOKEN_AUTH_*, and a look inside at /gauges."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_token_auth import TokenAuth
from asgi_token_auth.passwords import cheapest_context, recommended_context

LOOP_LAG_SECONDS = 0.01
lags: list[float] = []


async def messages(request: Request) -> JSONResponse:
    return JSONResponse({"user": request.user.display_name})


async def nothing(request: Request) -> JSONResponse:
    return JSONResponse("ok")


async def stay(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


async def gauges(request: Request) -> JSONResponse:
    """What must not grow, and by how much the event loop was late since the last look."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    late = sorted(lags)
    lags.clear()
    return JSONResponse(
        {
            "rss": pages * os.sysconf("SC_PAGE_SIZE"),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "threads": threading.active_count(),
            "tasks": len(asyncio.all_tasks()),
            "lag_p99": late[int(len(late) * 0.99)] if late else 0.0,
            "lag_max": late[-1] if late else 0.0,
        }
    )


async def watch_loop() -> None:
    while True:
        due = time.perf_counter() + LOOP_LAG_SECONDS
        await asyncio.sleep(LOOP_LAG_SECONDS)
        lags.append(time.perf_counter() - due)


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    watch = asyncio.create_task(watch_loop())
    yield
    watch.cancel()


def build() -> TokenAuth:
    real = os.environ.get("FAULTS_HASHES") == "real"
    return TokenAuth.from_env(
        password_context=recommended_context() if real else cheapest_context(),
        limits=None,  # all traffic comes from one address
    )


auth = build()
routes = [Route("/api/messages", messages), Route("/open", nothing), Route("/gauges", gauges)]
inner = Starlette(routes=[*routes, WebSocketRoute("/api/messages/stay", stay)], lifespan=lifespan)
app = auth.wrap(inner, mount="/api", protect=["/api/messages"])
