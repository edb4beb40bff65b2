"""A token that is good right now."""

import dataclasses
from typing import ClassVar

from asgi_token_auth.storage.tokens import Token
from asgi_token_auth.storage.users import User

HEADER = b"Bearer "
"""What a token is remembered with: it comes in a header that begins so."""


@dataclasses.dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A token that is good right now, and its user.

    It is what `request.auth` is: `scopes` are those of Starlette's AuthCredentials. One object
    serves all requests with that token, so nothing of it can be changed.
    """

    user: User
    token: Token

    scopes: ClassVar[tuple[str, ...]] = ("authenticated",)
