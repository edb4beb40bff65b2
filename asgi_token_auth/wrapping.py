"""Sub-app, guard and application as one ASGI application."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from asgi_token_auth.middleware import AnyASGIApp, TokenAuthMiddleware
from asgi_token_auth.paths import GuardedPaths, checked_mount, roots_of, route_paths

if TYPE_CHECKING:
    from asgi_token_auth.auth import TokenAuth


class WrappedApp(TokenAuthMiddleware):
    """An application with the account endpoints under `mount` and a guard before the rest.

    The endpoints come first: `protect=["/api"]` guards the application under /api, and leaves
    sign-up and login open.
    """

    def __init__(
        self,
        app: AnyASGIApp,
        auth: "TokenAuth",
        *,
        mount: str,
        protect: Sequence[str],
        public: Sequence[str],
        optional: Sequence[str],
    ) -> None:
        self._mount = checked_mount(mount)
        self._sub_app: Starlette = auth.app
        super().__init__(app, auth=auth, protect=protect, public=public, optional=optional)
        self._endpoints = self._serve_endpoint

    def _paths(
        self, protect: Sequence[str], public: Sequence[str], optional: Sequence[str]
    ) -> GuardedPaths:
        routes = [route.path for route in self._sub_app.routes if isinstance(route, Route)]
        first_segments = {route.split("/")[1] for route in routes}
        # What begins otherwise is none of ours, and no route is tried.
        begins = [f"{self._mount}/{segment}" for segment in sorted(first_segments)]
        roots = roots_of(self.app)
        return GuardedPaths(protect, public, optional, begins, self._is_endpoint, roots)

    def _is_endpoint(self, scope: Scope, path: str) -> bool:
        if scope["type"] != "http":
            return False
        own = self._own_scope(scope, path)
        return any(route.matches(own)[0] != Match.NONE for route in self._sub_app.routes)

    async def _serve_endpoint(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._sub_app(self._own_scope(scope, route_paths(scope)[0]), receive, send)

    def _own_scope(self, scope: Scope, path: str) -> Scope:
        # As a Mount has it, whether the server leaves the root path in the path or not.
        root = scope.get("root_path", "").rstrip("/") + self._mount
        return {**scope, "path": root + path[len(self._mount) :], "root_path": root}
