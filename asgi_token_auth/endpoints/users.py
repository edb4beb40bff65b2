"""Signing up and confirming: /users, /users/{id}/confirm, /confirmations."""

from starlette.requests import Request
from starlette.responses import Response

from asgi_token_auth.accounts.confirm import confirm
from asgi_token_auth.accounts.mail_request import resend_confirmation
from asgi_token_auth.accounts.sign_up import sign_up
from asgi_token_auth.endpoints.bodies import nested
from asgi_token_auth.endpoints.endpoint import EndpointGroup, endpoint, ok, token_reply


class UserEndpoints(EndpointGroup):
    """New accounts."""

    @endpoint
    async def sign_up(self, request: Request) -> Response:
        """POST /users"""
        fields = nested(await self._body(request), "user")
        await sign_up(self._parts, fields, self._client(request))
        return ok()

    @endpoint
    async def confirm(self, request: Request) -> Response:
        """POST /users/{id}/confirm"""
        user_id, fields = request.path_params["id"], await self._body(request)
        return token_reply(await confirm(self._parts, user_id, fields, self._client(request)))

    @endpoint
    async def resend_confirmation(self, request: Request) -> Response:
        """POST /confirmations"""
        await resend_confirmation(self._parts, await self._body(request), self._client(request))
        return ok()
