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
        """POST /users: creates an account, and mails the confirmation token."""
        fields = nested(await self._body(request), "user")
        await sign_up(self._parts, fields, self._client(request))
        return ok()

    @endpoint
    async def confirm(self, request: Request) -> Response:
        """POST /users/{id}/confirm: uses a confirmation token up, and logs in."""
        user_id, fields = request.path_params["id"], await self._body(request)
        return token_reply(await confirm(self._parts, user_id, fields, self._client(request)))

    @endpoint
    async def resend_confirmation(self, request: Request) -> Response:
        """POST /confirmations: mails the confirmation token again."""
        await resend_confirmation(self._parts, await self._body(request), self._client(request))
        return ok()
