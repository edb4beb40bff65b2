"""Sub-app, guard and application as one ASGI application."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from asgi_token_auth.exceptions import SettingsError
from asgi_token_auth.middleware import TokenAuthMiddleware
from asgi_token_auth.paths import normal_form, route_paths

if TYPE_CHECKING:
    from asgi_token_auth.auth import TokenAuth


class WrappedApp:
    """An application with the account endpoints under `mount` and a guard before the rest.

    The endpoints come first: `protect=["/api"]` guards the application under /api, and leaves
    sign-up and login open.
    """

    def __init__(
        self,
        app: ASGIApp,
        auth: "TokenAuth",
        *,
        mount: str,
        protect: Sequence[str],
        public: Sequence[str],
        optional: Sequence[str],
    ) -> None:
        self._mount = mount.rstrip("/")
        if normal_form(mount) != (self._mount or "/"):
            raise SettingsError("mount must be an absolute path in normal form")
        self._endpoints: Starlette = auth.app
        # Other paths under the mount are known by their first segment: no route is tried.
        routes = [route for route in auth.app.routes if isinstance(route, Route)]
        self._first = frozenset(route.path.split("/")[1] for route in routes)
        self._guarded = TokenAuthMiddleware(
            app, auth=auth, protect=protect, public=public, optional=optional
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        own = self._own_scope(scope) if scope["type"] == "http" else None
        app = self._guarded if own is None else self._endpoints
        await app(scope if own is None else own, receive, send)

    def _own_scope(self, scope: Scope) -> Scope | None:
        """The scope for the sub-app, if the path is one of its own."""
        path = route_paths(scope)[0] if scope.get("root_path") else scope["path"]
        if not path.startswith(self._mount):
            return None
        below = path[len(self._mount) :]
        if below[:1] != "/" or below[1:].partition("/")[0] not in self._first:
            return None
        # Without a root path, servers that leave it in the path and those that don't are alike.
        own = {**scope, "path": below, "root_path": ""}
        matches = (route.matches(own)[0] for route in self._endpoints.routes)
        return own if any(match != Match.NONE for match in matches) else None
