"""Sub-app, guard and application as one ASGI application."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from asgi_token_auth.exceptions import SettingsError
from asgi_token_auth.middleware import TokenAuthMiddleware
from asgi_token_auth.paths import normal_form, route_paths, without_root

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
        self._guarded = TokenAuthMiddleware(
            app, auth=auth, protect=protect, public=public, optional=optional
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        own = self._own_scope(scope) if scope["type"] == "http" else None
        if own is None:
            await self._guarded(scope, receive, send)
        else:
            await self._endpoints(own, receive, send)

    def _own_scope(self, scope: Scope) -> Scope | None:
        """The scope for the sub-app, if the path is one of its own."""
        path = route_paths(scope)[0]
        below = without_root(path, self._mount)
        if self._mount and below == path:
            return None
        # Without a root path, servers that leave it in the path and those that don't are alike.
        own = {**scope, "path": below, "root_path": ""}
        matches = (route.matches(own)[0] for route in self._endpoints.routes)
        return own if any(match != Match.NONE for match in matches) else None
