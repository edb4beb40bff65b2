"""Forgotten passwords: /password_resets, /password_resets/reset."""

from starlette.requests import Request
from starlette.responses import Response

from asgi_token_auth.accounts.mail_request import request_password_reset
from asgi_token_auth.accounts.reset_password import reset_password
from asgi_token_auth.endpoints.endpoint import EndpointGroup, endpoint, ok, token_reply


class PasswordEndpoints(EndpointGroup):
    """Choosing a new password without the old one."""

    @endpoint
    async def request_password_reset(self, request: Request) -> Response:
        """POST /password_resets: mails a reset token."""
        await request_password_reset(self._parts, await self._body(request), self._client(request))
        return ok()

    @endpoint
    async def reset_password(self, request: Request) -> Response:
        """POST /password_resets/reset: sets a new password, and logs in."""
        fields = await self._body(request)
        return token_reply(await reset_password(self._parts, fields, self._client(request)))
