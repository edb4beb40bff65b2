"""The mails' texts: six builders an application may replace, and notices."""

import dataclasses
from typing import Any

from asgi_token_auth.settings import Settings
from asgi_token_auth.storage.users import User

BUILDERS = (
    "welcome_subject",
    "welcome_body",
    "password_reset_subject",
    "password_reset_body",
    "new_email_address_subject",
    "new_email_address_body",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Mail:
    """One mail to one address. `id` stays the same on every try, and names it to the provider."""

    id: str
    kind: str
    sender: str
    recipient: str
    subject: str = dataclasses.field(repr=False)
    text: str = dataclasses.field(repr=False)


class Emails:
    """The six builders. Subclass it, or give any object that has some of them: the rest are these.

    `user` is the account's user; `token` goes into the link; `request` is the HTTP request that
    caused the mail (its headers tell the language, for one), or None where there was none.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def welcome_subject(self, user: User, request: Any) -> str:
        return "Please confirm your email address"

    def welcome_body(self, user: User, token: str, request: Any) -> str:
        how = _how(self._settings.confirmation_url, user, token, "confirmation_token")
        return f"Welcome!\n\nPlease confirm your email address {how}\n"

    def password_reset_subject(self, user: User, request: Any) -> str:
        return "Reset your password"

    def password_reset_body(self, user: User, token: str, request: Any) -> str:
        how = _how(self._settings.password_reset_url, user, token, "password_reset_token")
        return (
            f"Somebody, hopefully you, asked to reset your password.\n\nChoose a new one {how}\n\n"
            "If it wasn't you, ignore this mail: your password stays as it is.\n"
        )

    def new_email_address_subject(self, user: User, request: Any) -> str:
        return "Please confirm your new email address"

    def new_email_address_body(self, user: User, token: str, request: Any) -> str:
        how = _how(self._settings.email_change_url, user, token, "confirmation_token")
        return f"Please confirm your new email address {how}\n"


class Notices:
    """Mails without a token, which tell an owner what happened to the account."""

    def password_changed(self, user: User) -> tuple[str, str]:
        return (
            "Your password was changed",
            "The password of your account was changed.\n\n"
            "If it wasn't you, reset your password now.\n",
        )

    def email_changed(self, user: User) -> tuple[str, str]:
        return (
            "Your email address was changed",
            "The email address of your account was changed, and this one is no longer used.\n\n"
            "If it wasn't you, please contact us.\n",
        )

    def account_exists(self, user: User) -> tuple[str, str]:
        return (
            "You already have an account",
            "Somebody, hopefully you, tried to use this email address for an account,"
            " but it has one already.\n\n"
            "If it was you: log in, or reset your password. If it wasn't, ignore this mail.\n",
        )


def builders(settings: Settings) -> Emails:
    """The builders to use: the application's own where it has them, the defaults elsewhere."""
    given = settings.emails
    if isinstance(given, type):
        given = given(settings) if issubclass(given, Emails) else given()
    chosen = Emails(settings)
    for name in BUILDERS:
        own = given.get(name) if isinstance(given, dict) else getattr(given, name, None)
        if own is not None:
            setattr(chosen, name, own)
    return chosen


def _how(url: str | None, user: User, token: str, name: str) -> str:
    """By link where one is configured; never made from a request's Host: anyone chooses that."""
    if url is None:
        return f"with this token:\n\nuser id: {user.id}\n{name}: {token}"
    return f"by following this link:\n\n{url.format(user_id=user.id, token=token)}"
