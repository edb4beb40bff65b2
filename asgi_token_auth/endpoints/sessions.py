"""Logging in and out: /sessions, /session, /sessions/{token_id}."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from asgi_token_auth.accounts.log_in import log_in
from asgi_token_auth.accounts.sessions import (
    SCOPES,
    list_sessions,
    log_out,
    rename_session,
    revoke_session,
)
from asgi_token_auth.endpoints.bodies import nested
from asgi_token_auth.endpoints.endpoint import EndpointGroup, endpoint, iso, ok, token_reply
from asgi_token_auth.endpoints.errors import NO_STORE
from asgi_token_auth.exceptions import InvalidFields
from asgi_token_auth.storage.tokens import Token


class SessionEndpoints(EndpointGroup):
    """A user's tokens."""

    @endpoint
    async def log_in(self, request: Request) -> Response:
        """POST /sessions: an access token for a password."""
        fields = await self._body(request)
        return token_reply(await log_in(self._parts, fields, self._client(request)))

    @endpoint
    async def list_sessions(self, request: Request) -> Response:
        """GET /sessions: the user's live access tokens."""
        login = await self._login(request)
        tokens = await list_sessions(self._parts, login.user)
        current = login.digest
        content = {"sessions": [_shown(token, current) for token in tokens]}
        return JSONResponse(content, headers=NO_STORE)

    @endpoint
    async def log_out(self, request: Request) -> Response:
        """DELETE /sessions: ends this token; with `?scope=others` or `all` the rest, too."""
        login = await self._login(request)
        scope = request.query_params.get("scope", "current")
        if scope not in SCOPES:
            raise InvalidFields({"scope": "must be current, others or all"})
        await log_out(self._parts, login.user, login.digest, scope, self._client(request))
        return ok()

    @endpoint
    async def rename_session(self, request: Request) -> Response:
        """PUT /sessions/{token_id}: names one of the user's access tokens."""
        login, body = await self._login(request), await self._body(request)
        name, token_id = nested(body, "session").get("name"), request.path_params["token_id"]
        await rename_session(self._parts, login.user, token_id, name)
        return ok()

    @endpoint
    async def revoke_session(self, request: Request) -> Response:
        """DELETE /sessions/{token_id}: ends one of the user's access tokens."""
        login = await self._login(request)
        session_id = request.path_params["token_id"]
        await revoke_session(
            self._parts, login.user, session_id, login.digest, self._client(request)
        )
        return ok()


def _shown(token: Token, current: str | None) -> dict[str, Any]:
    return {
        "id": token.digest,
        "name": token.name,
        "created_at": iso(token.created_at),
        "last_used_at": iso(token.last_used_at or token.created_at),
        "expires_at": iso(token.expires_at),
        "user_agent": token.user_agent,
        "address": token.address,
        "current": token.digest == current,
    }
