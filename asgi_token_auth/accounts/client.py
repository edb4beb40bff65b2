"""Who asks for an operation."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who asks: noted with the token that a login gives and with each event, and counted.

    Args:
        user_agent: what the client calls itself; at most 256 characters are noted.
        address: its IP address, by which attempts are counted; None: they are not.
        device: an access token of an earlier login, good or not: by it an account's owner goes on
            where strangers have used up the attempts on the account.
        session_name: what a new token shall be called.
        request: the HTTP request, where there is one. No operation looks into it; the
            application's mail builders are given it.
    """

    user_agent: str | None = None
    address: str | None = None
    device: str | None = dataclasses.field(default=None, repr=False)
    session_name: str | None = None
    request: Any = dataclasses.field(default=None, repr=False)

    @property
    def noted_user_agent(self) -> str | None:
        """`user_agent`, as it is stored: cut, and what is not printable replaced."""
        return _cut(self.user_agent, 256)

    @property
    def noted_address(self) -> str | None:
        """`address`, as it is stored."""
        return _cut(self.address, 64)


def _cut(text: str | None, length: int) -> str | None:
    """What clients say of themselves, in a form that every database stores, and no log is forged
    by."""
    if text is None:
        return None
    return "".join(character if character.isprintable() else "?" for character in text)[:length]
