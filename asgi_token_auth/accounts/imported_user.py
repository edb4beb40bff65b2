"""Reading one user who comes from elsewhere: what is wrong is refused, nothing is guessed."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from asgi_token_auth.accounts.fields import BLANK, INVALID, is_blank, read_email, read_username
from asgi_token_auth.accounts.parts import Parts
from asgi_token_auth.exceptions import InvalidFields
from asgi_token_auth.storage.imported_users import ImportedUsers

OWN = ("id", "email", "username", "hashed_password", "confirmed_at", "is_active")
INACTIVE = "is false: who was shut out there must not get in here"
REFUSED = "refused"
BOOLEANS = {"true": 1.0, "t": 1.0, "false": 0.0, "f": 0.0}
FIRST_IN_MILLISECONDS = 10**11  # less are seconds: until the year 5138, where ms begin in 1973
LAST_MILLISECOND = 253_402_300_799_000  # of the year 9999


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """How users from elsewhere are read.

    Args:
        names: their columns' names, each with ours, or "" where it is left out.
        drop_unknown: whether columns that the users table has not are left out; else they are
            refused.
        assume_confirmed: whether users without the field `confirmed_at` count as confirmed, now.
        keep_ids: whether users keep their ids; else the database gives new ones.
        dry_run: whether nothing is written.
    """

    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    drop_unknown: bool = False
    assume_confirmed: bool = False
    keep_ids: bool = False
    dry_run: bool = False


async def read_imported_user(
    parts: Parts, users: ImportedUsers, theirs: Mapping[str, Any], options: ImportOptions
) -> dict[str, Any]:
    """The row to store.

    Raises:
        InvalidFields: says all that is wrong, and repeats no value.
        HashingOverloaded: try again.
    """
    given = _renamed(users, theirs, options)
    errors: dict[str, str] = {}
    row = users.read_extra(given.pop("", {}), errors)
    if options.keep_ids:
        row["id"] = _read_id(parts, given.get("id"), errors)
    row |= _read_names(users, given, errors)
    row["hashed_password"] = await _read_hash(parts, given.get("hashed_password"), errors)
    row["confirmed_at"] = _read_confirmed_at(parts, given, options, errors)
    if "is_active" in given and not _is_true(given["is_active"]):
        errors["is_active"] = INACTIVE
    if errors:
        raise InvalidFields(errors)
    return row


def names_as_given(
    users: ImportedUsers, theirs: Mapping[str, Any], options: ImportOptions
) -> dict[str, str]:
    """What tells a user apart, as it stands there: ids, names and hash, of those that are there."""
    given = _renamed(users, theirs, options)
    names = (*(name for name in users.names if name != "id" or options.keep_ids), "hashed_password")
    values = {name: given.get(name) for name in names}
    return {name: str(value) for name, value in values.items() if not is_blank(value)}


def _renamed(
    users: ImportedUsers, theirs: Mapping[str, Any], options: ImportOptions
) -> dict[str, Any]:
    """The fields by our names; under "" those that are the application's own columns."""
    own: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in theirs.items():
        ours = options.names.get(name, name)
        if ours in OWN and not (ours == "is_active" and users.has(ours)):
            own[ours] = value
        elif users.has(ours) or not (ours in ("", REFUSED) or options.drop_unknown):
            extra[ours] = None if value == "" else value
    return {**own, "": extra}


def _read_id(parts: Parts, value: Any, errors: dict[str, str]) -> Any:
    if is_blank(value):
        errors["id"] = BLANK
        return None
    known = parts.users.parse_id(value if isinstance(value, int) else str(value))
    if known is None:
        errors["id"] = INVALID
    return known


def _read_names(
    users: ImportedUsers, given: Mapping[str, Any], errors: dict[str, str]
) -> dict[str, str]:
    names = {}
    for name, read in (("email", read_email), ("username", read_username)):
        if users.has(name) and not is_blank(given.get(name)):
            names[name] = read(given, errors)
    if not names:
        errors["email" if users.has("email") else "username"] = BLANK
    return names


async def _read_hash(parts: Parts, value: Any, errors: dict[str, str]) -> Any:
    if is_blank(value):
        errors["hashed_password"] = BLANK
    elif not isinstance(value, str) or not value.isascii() or not value.isprintable():
        errors["hashed_password"] = INVALID
    elif fault := await parts.passwords.hash_fault(value):
        errors["hashed_password"] = fault
    return value


def _read_confirmed_at(
    parts: Parts, given: Mapping[str, Any], options: ImportOptions, errors: dict[str, str]
) -> int | None:
    if "confirmed_at" not in given:
        return parts.now() if options.assume_confirmed else None
    try:
        return _milliseconds(given["confirmed_at"], parts.now())
    except (ValueError, OverflowError):
        errors["confirmed_at"] = INVALID
        return None


def _milliseconds(value: Any, now: int) -> int | None:
    """A time as the table has it; 0 and 1 are no and yes, which some write instead of a time.

    Raises:
        ValueError: it is no time.
    """
    if is_blank(value):
        return None
    if isinstance(value, str):
        value = _from_text(value.strip())
    if isinstance(value, datetime):
        # Without a zone: databases write UTC.
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        value = aware.timestamp() * 1000
        return _in_range(value)
    if not isinstance(value, int | float):
        raise ValueError
    if value in (0, 1):
        return now if value else None
    return _in_range(value if value >= FIRST_IN_MILLISECONDS else value * 1000)


def _in_range(milliseconds: float) -> int:
    if not 0 < milliseconds <= LAST_MILLISECOND:  # `not`: nan is neither
        raise ValueError
    return int(milliseconds)


def _from_text(text: str) -> float | datetime:
    if text.lower() in BOOLEANS:
        return BOOLEANS[text.lower()]
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text)


def _is_true(value: Any) -> bool:
    return str(value).strip().lower() in ("true", "t", "1")
