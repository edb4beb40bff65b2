"""What can be done with an account. HTTP, the command line and code go through this one door."""

from collections.abc import AsyncIterable, Callable
from typing import Any

from asgi_token_auth.accounts.account import Login, delete_account, update_account
from asgi_token_auth.accounts.confirm import confirm
from asgi_token_auth.accounts.fields import Changes
from asgi_token_auth.accounts.import_users import Import, ImportReport, Record, Refused
from asgi_token_auth.accounts.imported_user import ImportOptions
from asgi_token_auth.accounts.issuing import IssuedToken
from asgi_token_auth.accounts.log_in import log_in
from asgi_token_auth.accounts.mail_request import request_password_reset, resend_confirmation
from asgi_token_auth.accounts.parts import Client, Parts
from asgi_token_auth.accounts.purge import purge_all, purge_expired
from asgi_token_auth.accounts.reset_password import reset_password
from asgi_token_auth.accounts.sessions import (
    Scope,
    forget,
    list_sessions,
    log_out,
    rename_session,
    revoke_session,
)
from asgi_token_auth.accounts.sign_up import sign_up
from asgi_token_auth.storage.events import Event
from asgi_token_auth.storage.tokens import Token
from asgi_token_auth.storage.users import User

__all__ = [
    "Accounts",
    "Changes",
    "Client",
    "ImportOptions",
    "ImportReport",
    "IssuedToken",
    "Login",
    "Parts",
    "Record",
    "Scope",
]

NOBODY = Client()
AS_THEY_ARE = ImportOptions()


class Accounts:
    """The operations, bound to one TokenAuth. Each raises as its module's function says.

    Attempts are counted, and refused with `Throttled`, as they are over HTTP; without a `client`
    only by account.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def sign_up(self, *, client: Client = NOBODY, **fields: Any) -> User | None:
        """Creates an account from `email` and/or `username`, `password`, and extra columns."""
        return await sign_up(self._parts, fields, client)

    async def confirm(
        self, user_id: object, *, client: Client = NOBODY, **fields: Any
    ) -> IssuedToken:
        """Confirms an address with its `confirmation_token`; `session_name` names the new token."""
        return await confirm(self._parts, user_id, fields, client)

    async def resend_confirmation(self, *, client: Client = NOBODY, **fields: Any) -> None:
        """Mails the confirmation for `email` again."""
        await resend_confirmation(self._parts, fields, client)

    async def log_in(self, *, client: Client = NOBODY, **fields: Any) -> IssuedToken:
        """A token for `email` or `username`, and `password`, called `session_name` if given."""
        return await log_in(self._parts, fields, client)

    async def list_sessions(self, user: User) -> list[Token]:
        """The user's live tokens."""
        return await list_sessions(self._parts, user)

    async def log_out(
        self,
        user: User,
        token: Token | str | None = None,
        scope: Scope = "all",
        *,
        client: Client = NOBODY,
    ) -> int:
        """Ends the user's tokens: all; or, of the given one, `current` or the `others`."""
        digest = token.digest if isinstance(token, Token) else token
        return await log_out(self._parts, user, digest, scope, client)

    async def rename_session(self, user: User, session_id: str, name: object) -> None:
        """Names one of the user's tokens by its id."""
        await rename_session(self._parts, user, session_id, name)

    async def revoke_session(
        self, user: User, session_id: str, *, token: Token | None = None, client: Client = NOBODY
    ) -> None:
        """Ends one of the user's tokens by its id; `token` is the one that asks for it."""
        current = token.digest if token else None
        await revoke_session(self._parts, user, session_id, current, client)

    async def list_events(self, user: User, *, before: int | None = None) -> list[Event]:
        """What happened to the user's account, newest first, at most 100 events; `before` the id
        of an event, those that came earlier."""
        return await self._parts.events.list(user.id, before)

    async def forget(self, user_id: object) -> None:
        """Tells every process that something about the user changed."""
        await forget(self._parts, user_id)

    async def request_password_reset(self, *, client: Client = NOBODY, **fields: Any) -> None:
        """Mails a reset token to `email`."""
        await request_password_reset(self._parts, fields, client)

    async def reset_password(self, *, client: Client = NOBODY, **fields: Any) -> IssuedToken:
        """Sets a new `password` with `user_id` and `password_reset_token`; `session_name` names
        the new token."""
        return await reset_password(self._parts, fields, client)

    async def update_account(
        self, user: User, *, token: Token | None = None, client: Client = NOBODY, **fields: Any
    ) -> None:
        """Changes the user's fields. Without a token the caller is trusted to be recent."""
        await update_account(self._parts, Login(user, token), fields, client)

    async def delete_account(
        self, user: User, *, token: Token | None = None, client: Client = NOBODY, **fields: Any
    ) -> None:
        """Deletes the user, proven by `password`."""
        await delete_account(self._parts, Login(user, token), fields, client)

    async def get(self, user_id: object) -> User | None:
        """The user of that id."""
        key = self._parts.users.parse_id(user_id)
        if key is None:
            return None
        stored = await self._parts.database.read(lambda s: self._parts.users.by_id(s, key))
        return stored.user if stored else None

    async def import_users(
        self,
        records: AsyncIterable[Record],
        options: ImportOptions = AS_THEY_ARE,
        *,
        on_refused: Refused = lambda record, reason: None,
        on_batch: Callable[[ImportReport], None] = lambda report: None,
    ) -> ImportReport:
        """Takes over users with their password hashes. Who is there already with the same hash
        counts as done, and nothing is overwritten.

        Raises:
            DatabaseUnavailable, HashingOverloaded: begin again; what was imported stays.
        """
        return await Import(self._parts, options, on_refused, on_batch).run(records)

    async def purge(self) -> dict[str, int]:
        """Deletes all that is over: expired tokens, old mails, events and news; how many each."""
        return await purge_all(self._parts)

    async def purge_expired(self) -> int:
        """Deletes all expired tokens, a batch at a time; how many there were."""
        return await purge_expired(self._parts)
