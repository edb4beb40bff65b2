"""Who asks for an operation."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who asks: noted with the token that a login gives, and with each event.

    `request` is the HTTP request where there is one. No operation looks into it; the
    application's mail builders are given it.
    """

    user_agent: str | None = None
    address: str | None = None
    request: Any = dataclasses.field(default=None, repr=False)

    @property
    def noted_user_agent(self) -> str | None:
        return _cut(self.user_agent, 256)

    @property
    def noted_address(self) -> str | None:
        return _cut(self.address, 64)


def _cut(text: str | None, length: int) -> str | None:
    """What clients say of themselves, in a form that every database stores, and no log is forged
    by."""
    if text is None:
        return None
    return "".join(character if character.isprintable() else "?" for character in text)[:length]
