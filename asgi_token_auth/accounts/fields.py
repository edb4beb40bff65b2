"""Reading the fields of a request: each wrong one gets its message, all at once."""

import dataclasses
import inspect
import unicodedata
from collections.abc import Mapping
from typing import Any, Literal

from email_validator import EmailNotValidError, validate_email

from asgi_token_auth.accounts.parts import Client, Parts
from asgi_token_auth.exceptions import InvalidFields
from asgi_token_auth.password_policy import BREACHED
from asgi_token_auth.storage.database import ConstraintViolation, UniqueViolation
from asgi_token_auth.storage.tables import SESSION_NAME_CHARACTERS
from asgi_token_auth.storage.user_fields import is_storable_text
from asgi_token_auth.storage.users import User, Users

BLANK = "can't be blank"
INVALID = "invalid"
TAKEN = "has already been taken"
STILL_REFERRED_TO = "can't be deleted while other data refers to it"
MAXIMUM_USERNAME_CHARACTERS = 64

Action = Literal["sign_up", "update_account", "reset_password"]


@dataclasses.dataclass
class Changes:
    """What is about to change: a `user_validator` is called with it, and refuses by
    `add_error`, or by the errors that it returns. `changes["name"]`, `changes.get("name")` and
    `"name" in changes` read the values.

    Args:
        action: `sign_up`, `update_account` or `reset_password`.
        user: the account as it stands; None at sign-up.
        values: the fields as they will be stored, and `password` as it was typed.
        errors: what is wrong so far: each field's message.
    """

    action: Action
    user: User | None
    values: dict[str, Any] = dataclasses.field(repr=False)
    errors: dict[str, str] = dataclasses.field(default_factory=dict)

    def __getitem__(self, field: str) -> Any:
        return self.values[field]

    def __contains__(self, field: object) -> bool:
        return field in self.values

    def get(self, field: str, default: Any = None) -> Any:
        """The value of a field, or `default` where it does not change."""
        return self.values.get(field, default)

    def add_error(self, field: str, message: str) -> None:
        """Refuses the change, with a message for that field."""
        self.errors.setdefault(field, message)


def refused_by(users: Users, violation: ConstraintViolation) -> InvalidFields:
    """What a constraint of the application's own table has against the fields."""
    fault = TAKEN if isinstance(violation, UniqueViolation) else INVALID
    return InvalidFields({users.violated_field(violation): fault})


async def validated(parts: Parts, changes: Changes) -> dict[str, Any]:
    """The values, once the password policy and the application's own validator have no objection.

    Raises:
        InvalidFields: there are errors.
        BreachedPasswordsUnavailable: the policy wants an answer, and there is none.
    """
    validator = parts.settings.user_validator
    if validator is not None:
        answer = validator(changes)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, Mapping):
            for field, message in answer.items():
                changes.add_error(str(field), str(message))
    if changes.errors:
        raise InvalidFields(changes.errors)
    # Last: a password that is refused anyhow is asked about nowhere.
    password, check = changes.values.get("password"), parts.breach_check
    if password is not None and check is not None and await check.is_breached(password):
        raise InvalidFields({"password": BREACHED})
    return changes.values


def is_blank(value: object) -> bool:
    """Whether a field was left empty: clients send "" and null alike."""
    return value is None or (isinstance(value, str) and not value.strip())


def text_fault(value: object) -> str | None:
    """What is wrong with a field that must hold text."""
    if is_blank(value):
        return BLANK
    return None if is_storable_text(value) else INVALID


def password_fault(parts: Parts, value: object, *about: str | None) -> str | None:
    """What is wrong with a new password; `about` are its owner's e-mail addresses and username."""
    # Blanks are a password's own: only an absent or empty one is blank.
    if value is None or value == "":
        return BLANK
    if not isinstance(value, str) or not is_storable_text(value):
        return INVALID
    return too_long(parts, value) or parts.password_rules.fault(value, about)


def too_long(parts: Parts, password: str) -> str | None:
    """Refuses what would be slow to hash or, by bcrypt, cut off."""
    maximum = maximum_password_bytes(parts)
    return f"should be at most {maximum} bytes" if len(password.encode()) > maximum else None


def maximum_password_bytes(parts: Parts) -> int:
    """The policy's limit, or the scheme's where that is lower."""
    limits = (parts.settings.password_policy.maximum_bytes, parts.passwords.maximum_bytes)
    return min(limit for limit in limits if limit is not None)


def normalised_email(value: str) -> str | None:
    """The one spelling of an address, for storing and comparing; None: it is not one address.

    Validated, normalised, and what that changed validated again, as it can make an `@` or a comma.
    """
    for _ in range(2):
        if value.count("@") != 1 or not value.isprintable() or len(value) > 320:
            return None
        try:
            checked = validate_email(
                value.strip(), check_deliverability=False, test_environment=True
            )
        except EmailNotValidError:
            return None
        before, value = value, checked.normalized.lower()
        if value == before:
            break
    return value


def normalised_username(value: str) -> str | None:
    """NFKC, so that look-alikes are one name; None: it is not a name."""
    name = unicodedata.normalize("NFKC", value.strip())
    is_name = name.isprintable() and not any(character.isspace() for character in name)
    return name if is_name and 0 < len(name) <= MAXIMUM_USERNAME_CHARACTERS else None


def read_email(values: Mapping[str, Any], errors: dict[str, str], *, field: str = "email") -> str:
    """The address in the request; writes down what is wrong with it."""
    fault = text_fault(values.get(field))
    email = None if fault else normalised_email(values[field])
    if email is None:
        errors[field] = fault or INVALID
    return email or ""


def read_username(values: Mapping[str, Any], errors: dict[str, str]) -> str:
    """The username in the request; writes down what is wrong with it."""
    fault = text_fault(values.get("username"))
    username = None if fault else normalised_username(values["username"])
    if username is None:
        errors["username"] = fault or INVALID
    return username or ""


def session_name_fault(value: Any) -> str | None:
    """What is wrong with the name of a session: people read it, so it is one line of text."""
    if not isinstance(value, str) or not value.isprintable():
        return INVALID
    if len(value.strip()) > SESSION_NAME_CHARACTERS:
        return f"should be at most {SESSION_NAME_CHARACTERS} characters"
    return None


def named(client: Client, values: Mapping[str, Any], errors: dict[str, str]) -> Client:
    """The client with what its new token shall be called; writes down what is wrong with that."""
    value = values.get("session_name")
    if is_blank(value):
        return client
    if fault := session_name_fault(value):
        errors["session_name"] = fault
        return client
    return dataclasses.replace(client, session_name=str(value).strip())


def read_secret(values: Mapping[str, Any], field: str, errors: dict[str, str]) -> str:
    """A token or a present password in the request; writes down what is wrong with it."""
    value = values.get(field)
    fault = BLANK if value in (None, "") else None if is_storable_text(value) else INVALID
    if fault:
        errors[field] = fault
    return value if isinstance(value, str) and not fault else ""
