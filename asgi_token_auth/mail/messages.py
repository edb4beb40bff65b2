"""The mails' texts: six builders an application may replace, and notices."""

import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote

from asgi_token_auth.clock import utc_now
from asgi_token_auth.mail.templates import Templates
from asgi_token_auth.settings import Settings
from asgi_token_auth.storage.users import User


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """What a mail says; `html` is None for a mail of text alone."""

    subject: str
    text: str = dataclasses.field(repr=False)
    html: str | None = dataclasses.field(default=None, repr=False)


NOTHING = Message("", "x" * 500)  # as long as most, for mails that nobody gets


@dataclasses.dataclass(frozen=True, slots=True)
class Mail:
    """One mail to one address.

    Args:
        id: stays the same on every try, and names the mail to the provider.
        kind: `confirmation`, `password_reset`, `email_change`, `password_changed`,
            `email_changed` or `account_exists`.
        sender: the address it comes from, `email_sender`.
        recipient: the address it goes to.
        subject: one line.
        text: the body.
        html: the same in HTML; None: there is none.
        created_at: when what it tells of happened, aware.
    """

    id: str
    kind: str
    sender: str
    recipient: str
    subject: str = dataclasses.field(repr=False)
    text: str = dataclasses.field(repr=False)
    html: str | None = dataclasses.field(default=None, repr=False)
    created_at: datetime = dataclasses.field(default_factory=utc_now)


class Emails:
    """The six builders, and three for HTML: the setting `emails`. Subclass it and give the class,
    or give any object (or dictionary) that has some of them: the rest are these, which render
    templates.

    `user` is the account's `User`; `token` goes into the link; `request` is the HTTP request that
    caused the mail (its headers tell the language, for one), or None where there was none.
    A body that is replaced is sent without HTML, unless its `..._html` is given, too.

    The builders of confirmations and resets are also called for addresses without an account,
    with a stand-in `user` that has the address alone, or the time they take would tell who has
    one. What they then return, or raise, goes nowhere.
    """

    def __init__(self, settings: Settings, templates: Templates | None = None) -> None:
        self._settings = settings
        self._templates = templates or _templates(settings)

    def welcome_subject(self, user: User, request: Any) -> str:
        """The subject of the mail that asks a new user to confirm the address."""
        return self._templates.subject("welcome", user, request, {})

    def welcome_body(self, user: User, token: str, request: Any) -> str:
        """Its text, with the token or a link made from `confirmation_url`."""
        return self._templates.text("welcome", user, request, self._confirmation(user, token))

    def welcome_html(self, user: User, token: str, request: Any) -> str | None:
        """Its HTML; None: the mail is text alone."""
        return self._templates.html("welcome", user, request, self._confirmation(user, token))

    def password_reset_subject(self, user: User, request: Any) -> str:
        """The subject of the mail for somebody who forgot the password."""
        return self._templates.subject("password_reset", user, request, {})

    def password_reset_body(self, user: User, token: str, request: Any) -> str:
        """Its text, with the token or a link made from `password_reset_url`."""
        return self._templates.text("password_reset", user, request, self._reset(user, token))

    def password_reset_html(self, user: User, token: str, request: Any) -> str | None:
        """Its HTML; None: the mail is text alone."""
        return self._templates.html("password_reset", user, request, self._reset(user, token))

    def new_email_address_subject(self, user: User, request: Any) -> str:
        """The subject of the mail to the new address of a user who changes it."""
        return self._templates.subject("new_email_address", user, request, {})

    def new_email_address_body(self, user: User, token: str, request: Any) -> str:
        """Its text, with the token or a link made from `email_change_url`."""
        return self._templates.text("new_email_address", user, request, self._change(user, token))

    def new_email_address_html(self, user: User, token: str, request: Any) -> str | None:
        """Its HTML; None: the mail is text alone."""
        return self._templates.html("new_email_address", user, request, self._change(user, token))

    def _confirmation(self, user: User, token: str) -> dict[str, str | None]:
        return _token_values(self._settings.confirmation_url, user, "confirmation_token", token)

    def _reset(self, user: User, token: str) -> dict[str, str | None]:
        return _token_values(self._settings.password_reset_url, user, "password_reset_token", token)

    def _change(self, user: User, token: str) -> dict[str, str | None]:
        return _token_values(self._settings.email_change_url, user, "confirmation_token", token)


class Builders:
    """The builders in use: the application's own where it has them, the defaults elsewhere.

    Raises:
        SettingsError: the templates can't be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._templates = _templates(settings)
        given = settings.emails
        if isinstance(given, type):
            given = given(settings) if issubclass(given, Emails) else given()
        self._given = given
        self._default = Emails(settings, self._templates)

    def message(self, name: str, user: User, token: str, request: Any) -> Message:
        """One of the three messages with a token in them."""
        subject, body, html = (f"{name}_{part}" for part in ("subject", "body", "html"))
        own_text = self._own(body) is not None and self._own(html) is None
        return Message(
            self._builder(subject)(user, request),
            self._builder(body)(user, token, request),
            None if own_text else self._builder(html)(user, token, request),
        )

    def notice(self, name: str, user: User, request: Any) -> Message:
        """A message without a token, which tells an owner what happened to the account:
        `password_changed`, `email_changed` or `account_exists`."""
        return Message(
            self._templates.subject(name, user, request, {}),
            self._templates.text(name, user, request, {}),
            self._templates.html(name, user, request, {}),
        )

    def _builder(self, name: str) -> Callable[..., Any]:
        builder: Callable[..., Any] = self._own(name) or getattr(self._default, name)
        return builder

    def _own(self, name: str) -> Any:
        if isinstance(self._given, dict):
            return self._given.get(name)
        if getattr(type(self._given), name, None) is getattr(Emails, name):
            return None  # inherited
        return getattr(self._given, name, None)


def _templates(settings: Settings) -> Templates:
    return Templates(settings.mail_templates, settings.mail_language)


def _token_values(url: str | None, user: User, name: str, token: str) -> dict[str, str | None]:
    """A link where one is configured; never made from a request's Host: anyone chooses that."""
    link = url.format(user_id=quote(str(user.id), safe=""), token=token) if url else None
    return {"token_name": name, "token": token, "link": link}
