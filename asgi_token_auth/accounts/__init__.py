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
    "Token",
]

NOBODY = Client()
AS_THEY_ARE = ImportOptions()


class Accounts:
    """The operations on accounts as async functions, for scripts, tests and endpoints of one's own:
    `auth.accounts`. HTTP and the command line go through the same ones.

    Fields are given as keywords, named as in the wire contract. Attempts are counted, and refused
    with `Throttled`, as they are over HTTP; without a `client` only by account.

    Every operation may raise `DatabaseUnavailable`, which means: try again.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def sign_up(self, *, client: Client = NOBODY, **fields: Any) -> User | None:
        """Creates an account: by e-mail, to be confirmed with the token that is mailed; or by
        username, confirmed at once.

        Args:
            client: who asks.
            fields: `email`, `username` or both (then it is an e-mail sign-up), `password`, and the
                extra columns that `user_fields` lets clients set.

        Returns:
            The user; None where the address has an account, and `disclose_accounts="never"` says
            not to tell: its owner is mailed instead.

        Raises:
            InvalidFields: fields are missing or wrong, the `user_validator` refuses them, or the
                address or username is taken.
            Throttled: too many attempts from that address, or with that name.
            HashingOverloaded, BreachedPasswordsUnavailable: try again.
        """
        return await sign_up(self._parts, fields, client)

    async def confirm(
        self, user_id: object, *, client: Client = NOBODY, **fields: Any
    ) -> IssuedToken:
        """Confirms a new account, or the new e-mail address of an old one, and logs its user in.

        Args:
            user_id: the user's id, as it is or as text.
            client: who asks.
            fields: `confirmation_token` from the mail; `session_name`, optional, what the new
                token is called.

        Raises:
            InvalidFields: the token is wrong, used or expired, or the address is by now another's.
            Throttled: too many attempts from that address, or too many wrong ones on the user.
        """
        return await confirm(self._parts, user_id, fields, client)

    async def resend_confirmation(self, *, client: Client = NOBODY, **fields: Any) -> None:
        """Mails a new confirmation token, if the address waits for one; else does nothing, in the
        same time. A mailbox that was sent some just now rests for `mail_cooldown`.

        Args:
            client: who asks.
            fields: `email`.

        Raises:
            InvalidFields: it is no address; or not known, under `disclose_accounts="always"`.
            Throttled: too many requests from that address, or for that mailbox.
        """
        await resend_confirmation(self._parts, fields, client)

    async def log_in(self, *, client: Client = NOBODY, **fields: Any) -> IssuedToken:
        """A new access token.

        Args:
            client: who asks.
            fields: `email` or `username`, and `password`; `session_name`, optional, what the token
                is called.

        Raises:
            InvalidFields: a field is missing or not text.
            UnknownCredentials: no such user, or a wrong password.
            AccountNotConfirmed: the password is right, but the account is not confirmed. Under
                `disclose_accounts="never"` that is `UnknownCredentials` too.
            Throttled: too many attempts from that address, or on that account.
            HashingOverloaded: try again.
        """
        return await log_in(self._parts, fields, client)

    async def list_sessions(self, user: User) -> list[Token]:
        """The user's live access tokens, newest first."""
        return await list_sessions(self._parts, user)

    async def log_out(
        self,
        user: User,
        token: Token | str | None = None,
        scope: Scope = "all",
        *,
        client: Client = NOBODY,
    ) -> int:
        """Ends access tokens: in this process at once, in every other within `revocation_lag`.

        Args:
            user: whose.
            token: the one to start from, or its `digest`; only `all` needs none.
            scope: `current` ends `token`, `others` all but that one, `all` all of the user's.
            client: who asks.

        Returns:
            How many ended.

        Raises:
            ValueError: `token` is missing.
        """
        digest = token.digest if isinstance(token, Token) else token
        return await log_out(self._parts, user, digest, scope, client)

    async def rename_session(self, user: User, session_id: str, name: object) -> None:
        """Names one of the user's access tokens, so that its owner knows it in the list.

        Args:
            user: whose.
            session_id: the token's `digest`, or its `token_id` claim.
            name: at most 64 characters, in one line.

        Raises:
            InvalidFields: the name is blank, too long, or not one line of text.
            SessionNotFound: the user has no such token.
        """
        await rename_session(self._parts, user, session_id, name)

    async def revoke_session(
        self, user: User, session_id: str, *, token: Token | None = None, client: Client = NOBODY
    ) -> None:
        """Ends one of the user's access tokens.

        Args:
            user: whose.
            session_id: the token's `digest`, or its `token_id` claim.
            token: the one that asks for it, for the event that is written.
            client: who asks.

        Raises:
            SessionNotFound: the user has no such token.
        """
        current = token.digest if token else None
        await revoke_session(self._parts, user, session_id, current, client)

    async def list_events(self, user: User, *, before: int | None = None) -> list[Event]:
        """What happened to the user's account, newest first, at most 100 events.

        Args:
            user: whose.
            before: the id of an event: those that came earlier; None: the latest.
        """
        return await self._parts.events.list(user.id, before)

    async def forget(self, user_id: object) -> None:
        """Tells every process that the application itself changed something of the user; see
        `TokenAuth.forget`."""
        await forget(self._parts, user_id)

    async def request_password_reset(self, *, client: Client = NOBODY, **fields: Any) -> None:
        """Mails a reset token, if the address has an account; else does nothing, in the same time.
        A mailbox that was sent some just now rests for `mail_cooldown`.

        Args:
            client: who asks.
            fields: `email`.

        Raises:
            InvalidFields: it is no address; or not known, under `disclose_accounts="always"`.
            Throttled: too many requests from that address, or for that mailbox.
        """
        await request_password_reset(self._parts, fields, client)

    async def reset_password(self, *, client: Client = NOBODY, **fields: Any) -> IssuedToken:
        """Sets a new password, and logs the user in. That proves the mailbox: it confirms the
        account, and ends all tokens and pending changes that came before.

        Args:
            client: who asks.
            fields: `user_id`, `password_reset_token` from the mail, and the new `password`;
                `session_name`, optional, what the new token is called.

        Raises:
            InvalidFields: the token is wrong, used or expired, or the password is not acceptable.
            Throttled: too many attempts from that address, or too many wrong ones on the user.
            HashingOverloaded, BreachedPasswordsUnavailable: try again.
        """
        return await reset_password(self._parts, fields, client)

    async def update_account(
        self, user: User, *, token: Token | None = None, client: Client = NOBODY, **fields: Any
    ) -> None:
        """Changes what `fields` name. A new e-mail address counts once it is confirmed from a mail
        to it; a new password ends the user's other tokens.

        Args:
            user: whose account.
            token: the one the user is logged in with; None: the caller is trusted, and needs no
                `current_password`.
            client: who asks.
            fields: `email`, `username`, `password`, extra columns, each optional, and where the
                login is older than `recent_login` `current_password`. A blank `email`, `username`
                or `password` stays as it is.

        Raises:
            InvalidFields: fields are wrong or taken, or `current_password` is needed or wrong.
            InvalidToken: the token was revoked meanwhile.
            Throttled: too many present passwords were tried, or too many new addresses.
            HashingOverloaded, BreachedPasswordsUnavailable: try again.
        """
        await update_account(self._parts, Login(user, token), fields, client)

    async def delete_account(
        self, user: User, *, token: Token | None = None, client: Client = NOBODY, **fields: Any
    ) -> None:
        """Deletes the user and the user's tokens; the events stay. What refers to the row in the
        application's own tables, their foreign keys decide.

        Args:
            user: whose account.
            token: the one the user is logged in with, if any.
            client: who asks.
            fields: `password`, the present one: also in scripts.

        Raises:
            InvalidFields: the password is missing or wrong; under `base`, a foreign key without
                `ON DELETE` keeps the user.
            InvalidToken: the token was revoked meanwhile, or the user is gone.
            Throttled: too many present passwords were tried.
            HashingOverloaded: try again.
        """
        await delete_account(self._parts, Login(user, token), fields, client)

    async def get(self, user_id: object) -> User | None:
        """The user of that id, given as it is or as text; None: there is none."""
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

        Args:
            records: the users.
            options: how they are read.
            on_refused: called with each record that is refused, and why.
            on_batch: called with the report so far, after each 500 records.

        Raises:
            DatabaseUnavailable, HashingOverloaded: begin again; what was imported stays.
        """
        return await Import(self._parts, options, on_refused, on_batch).run(records)

    async def purge(self) -> dict[str, int]:
        """Deletes all that is over: expired and unused tokens, old mails, events and news. A
        running application does so by itself.

        Returns:
            How many rows there were of `tokens`, `mails`, `events` and `revocations`.
        """
        return await purge_all(self._parts)

    async def purge_expired(self) -> int:
        """Deletes all expired tokens, a batch at a time; how many there were."""
        return await purge_expired(self._parts)
