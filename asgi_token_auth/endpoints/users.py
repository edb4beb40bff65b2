"""Signing up and confirming: /users, /users/{id}/confirm, /confirmations."""

from starlette.requests import Request
from starlette.responses import Response

from asgi_token_auth.accounts.confirm import confirm
from asgi_token_auth.accounts.fields import BLANK, INVALID
from asgi_token_auth.accounts.mail_request import resend_confirmation
from asgi_token_auth.accounts.parts import Client
from asgi_token_auth.accounts.sign_up import sign_up
from asgi_token_auth.endpoints.endpoint import EndpointGroup, endpoint, ok, token_reply
from asgi_token_auth.exceptions import InvalidFields


class UserEndpoints(EndpointGroup):
    """New accounts."""

    @endpoint
    async def sign_up(self, request: Request) -> Response:
        """POST /users: creates an account, and mails the confirmation token."""
        fields = (await self._body(request)).get("user")
        if isinstance(fields, dict):
            await sign_up(self._parts, fields, self._client(request))
        else:
            await self._refuse_sign_up(fields, self._client(request))
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

    async def _refuse_sign_up(self, fields: object, client: Client) -> None:
        """As with all fields missing, and counted so; but where they belong is named, too."""
        try:
            await sign_up(self._parts, {}, client)
        except InvalidFields as refused:
            user = BLANK if fields is None else INVALID
            raise InvalidFields({"user": user, **refused.errors}) from None
