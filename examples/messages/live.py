"""Messages as they are posted, over WebSockets, to their own user."""

import contextlib
from collections import defaultdict
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect


class Listeners:
    """The sockets that are open in this process."""

    def __init__(self) -> None:
        self._sockets: defaultdict[str, set[WebSocket]] = defaultdict(set)

    async def serve(self, websocket: WebSocket, user_id: str) -> None:
        """Keeps a socket until its client goes away."""
        await websocket.accept()
        self._sockets[user_id].add(websocket)
        try:
            while True:
                await websocket.receive_text()
        except (WebSocketDisconnect, KeyError):
            pass
        finally:
            self._sockets[user_id].discard(websocket)
            if not self._sockets[user_id]:
                del self._sockets[user_id]

    async def tell(self, user_id: str, message: dict[str, Any]) -> None:
        """Sends a message to each of the user's sockets."""
        for websocket in list(self._sockets.get(user_id, ())):
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await websocket.send_json(message)
