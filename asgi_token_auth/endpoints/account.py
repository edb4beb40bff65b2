"""The account of the user who is logged in: /account."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from asgi_token_auth.accounts.account import delete_account, update_account
from asgi_token_auth.accounts.events import HIGHEST_ID
from asgi_token_auth.accounts.fields import BLANK, INVALID
from asgi_token_auth.endpoints.endpoint import EndpointGroup, as_json, endpoint, iso, ok
from asgi_token_auth.endpoints.errors import NO_STORE
from asgi_token_auth.exceptions import InvalidFields
from asgi_token_auth.storage.events import Event
from asgi_token_auth.storage.users import User


class AccountEndpoints(EndpointGroup):
    """One's own account."""

    @endpoint
    async def show_account(self, request: Request) -> Response:
        """GET /account: the user, with the extra columns."""
        login = await self._login(request)
        return JSONResponse({"account": _shown(login.user)}, headers=NO_STORE)

    @endpoint
    async def update_account(self, request: Request) -> Response:
        """PUT /account: changes password, e-mail address, username and extra columns."""
        login, body = await self._login(request), await self._body(request)
        fields = _account_in(body)
        if "current_password" in body:
            fields = {"current_password": body["current_password"], **fields}
        await update_account(self._parts, login, fields, self._client(request))
        return ok()

    @endpoint
    async def delete_account(self, request: Request) -> Response:
        """DELETE /account: deletes the user, proven by the password."""
        login = await self._login(request)
        await delete_account(self._parts, login, await self._body(request), self._client(request))
        return ok()

    @endpoint
    async def list_events(self, request: Request) -> Response:
        """GET /account/events: what happened to the account, 100 events at most; `?before=<id>`
        goes on from there."""
        login = await self._login(request)
        events = await self._parts.events.list(login.user.id, _before(request))
        content = {"events": [_shown_event(event, login.digest) for event in events]}
        return JSONResponse(content, headers=NO_STORE)


def _before(request: Request) -> int | None:
    given = request.query_params.get("before")
    if given is None:
        return None
    if given.isascii() and given.isdigit() and len(given) < 20 and int(given) <= HIGHEST_ID:
        return int(given)
    raise InvalidFields({"before": "must be the id of an event"})


def _shown_event(event: Event, current: str | None) -> dict[str, Any]:
    return {
        "id": event.id,
        "event": event.event,
        "created_at": iso(event.created_at),
        "session": event.session,
        "current": event.session is not None and event.session == current,
        "address": event.address,
        "user_agent": event.user_agent,
        "detail": event.detail,
    }


def _account_in(body: dict[str, Any]) -> dict[str, Any]:
    fields = body.get("account")
    if not isinstance(fields, dict):
        # "ok" would let a client believe that its password is another one now.
        raise InvalidFields({"account": BLANK if fields is None else INVALID})
    return fields


def _shown(user: User) -> dict[str, Any]:
    own = {"id": user.id, "email": user.email, "username": user.username}
    return {name: as_json(value) for name, value in {**user.fields, **own}.items()}
