"""Users who have signed up, confirmed and logged in by the same doors as everyone's."""

import dataclasses
import functools
import secrets
from typing import Any

from asgi_token_auth.accounts.issuing import IssuedToken
from asgi_token_auth.auth import TokenAuth
from asgi_token_auth.storage.tokens import CONFIRMATION
from asgi_token_auth.storage.users import User
from asgi_token_auth.testing.doubles import Mailbox

PASSWORD = "seven tall herons wade"  # noqa: S105


@dataclasses.dataclass(frozen=True, slots=True)
class NewUser:
    """A user with an access token that is good now.

    Args:
        user: as `request.user` will be.
        password: what to log in with.
        token: the access token.
    """

    user: User
    password: str = dataclasses.field(repr=False)
    token: str = dataclasses.field(repr=False)

    @property
    def id(self) -> Any:
        """The key in the users table."""
        return self.user.id

    @property
    def headers(self) -> dict[str, str]:
        """For a request as this user, by any client."""
        return {"Authorization": f"Bearer {self.token}"}


async def new_user(auth: TokenAuth, *, password: str = PASSWORD, **fields: Any) -> NewUser:
    """Signs up, confirms from the mail, and logs in.

    Args:
        auth: whose mails go into a `Mailbox`.
        password: the user's.
        fields: `email`, `username` and extra columns, also those that clients may not set;
            without a name, one is made up.

    Raises:
        InvalidFields: as sign-up says.
        ValueError: the address is taken, and `disclose_accounts` says not to tell.
        TypeError: a field is no column of the users table; or `mail_transport` is no `Mailbox`, so
            that no mail can be read.
    """
    users = auth._parts.users
    for name in fields:
        if name not in ("email", "username", *users.extra):
            raise TypeError(f"{name} is no column of the users table that can be given")
    kept = {name: fields.pop(name) for name in set(fields) - {"email", "username", *users.writable}}
    if not fields.keys() & {"email", "username"}:
        fields |= _made_up_name(auth)
    user = await auth.accounts.sign_up(password=password, **fields)
    if user is None:
        raise ValueError("the address is taken")
    if kept:
        await auth._database.write(functools.partial(users.update, user_id=user.id, values=kept))
    if user.email is None:
        issued = await auth.accounts.log_in(username=user.username, password=password)
    else:
        issued = await _confirm(auth, user.id, user.email)
    return NewUser(issued.user, password, issued.token)


def _made_up_name(auth: TokenAuth) -> dict[str, str]:
    unique = f"user-{secrets.token_hex(6)}"
    return {"email": f"{unique}@example.com"} if "email" in auth.users.c else {"username": unique}


async def _confirm(auth: TokenAuth, user_id: object, email: str) -> IssuedToken:
    mailbox = auth.settings.mail_transport
    if not isinstance(mailbox, Mailbox):
        raise TypeError("mail_transport must be a testing.Mailbox, for the confirmation to be read")
    await auth.sender.deliver_due()  # under send_mail=False nobody else does
    token = await mailbox.token(email, CONFIRMATION)
    return await auth.accounts.confirm(user_id, confirmation_token=token)
