"""Issuing and checking JWTs: the one door to python-jose; random secrets and their digests."""

import binascii
import hashlib
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from jose import jwt

from asgi_token_auth.exceptions import InvalidToken

MAXIMUM_TOKEN_CHARACTERS = 4096
SECRET_BYTES = 32
CLOCK_SKEW_SECONDS = 60
DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
THREE_PARTS = re.compile(r"[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{2,}", re.ASCII)


class Claims(NamedTuple):
    """What a good token says: whose it is, which row it stands for, when it began and ends.

    `issued_at` and `expires_at` are seconds since the epoch (RFC 7519, NumericDate).
    """

    user_id: int | str
    token_id: str
    issued_at: int
    expires_at: int


def new_secret() -> str:
    """256 random bits, as 43 URL-safe characters."""
    return secrets.token_urlsafe(SECRET_BYTES)


def digest(secret: str) -> str:
    """What the database keeps of a secret: SHA-256, in hex.

    A fast hash is right for 256 random bits (ASVS 5, 6.5.2): there is nothing to guess. What is
    no Unicode has a digest too, and no row.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def is_digest(text: str) -> bool:
    """Whether `text` is spelled as a digest is."""
    return bool(DIGEST.fullmatch(text))


class TokenSigner:
    """Signs with the first key, verifies with whichever `kid` names.

    Args:
        keys: at least 32 bytes each; the first signs.
        algorithm: exactly one of HS256, HS384, HS512: no other is accepted.
        clock: the time now, aware.
    """

    def __init__(
        self, keys: tuple[bytes, ...], algorithm: str, clock: Callable[[], datetime]
    ) -> None:
        self._keys = {_key_id(key): key for key in keys}
        self._signing = _key_id(keys[0])
        self._algorithm = algorithm
        self._clock = clock

    def issue(self, user_id: int | str, token_id: str, issued_at: int, expires_at: int) -> str:
        """A signed token; times in seconds since the epoch."""
        claims = {"id": user_id, "token_id": token_id, "iat": issued_at, "exp": expires_at}
        return str(
            jwt.encode(
                claims,
                self._keys[self._signing],
                algorithm=self._algorithm,
                headers={"kid": self._signing},
            )
        )

    def check(self, token: str) -> Claims:
        """The claims of a good token.

        Raises:
            InvalidToken: whatever else it is.
        """
        if not _is_canonical(token):
            raise InvalidToken
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys[header.get("kid", self._signing)]
            if header.get("alg") != self._algorithm or "crit" in header or "b64" in header:
                raise InvalidToken
            # Times are checked below, by our clock: jose takes `exp` as text, and takes exp == now.
            payload = jwt.decode(token, key, [self._algorithm], options=_SIGNATURE_ONLY)
        except Exception as error:
            # jose lets RecursionError, OverflowError, AttributeError and more escape.
            raise InvalidToken from error
        return self._claims(payload)

    def _claims(self, payload: dict[str, Any]) -> Claims:
        user_id, token_id = payload.get("id"), payload.get("token_id")
        issued_at, expires_at = payload.get("iat"), payload.get("exp")
        if type(user_id) not in (int, str) or type(token_id) is not str:
            raise InvalidToken
        if type(issued_at) is not int or type(expires_at) is not int:
            raise InvalidToken
        now = self._clock().timestamp()
        not_before = payload.get("nbf", 0)
        if type(not_before) is not int or not_before > now:
            raise InvalidToken
        if expires_at <= now or issued_at > now + CLOCK_SKEW_SECONDS:
            raise InvalidToken
        return Claims(user_id, token_id, issued_at, expires_at)  # type: ignore[arg-type]


_SIGNATURE_ONLY = {
    f"verify_{claim}": False
    for claim in ("aud", "iat", "exp", "nbf", "iss", "sub", "jti", "at_hash")
}


def _key_id(key: bytes) -> str:
    """A name for a key that gives nothing of it away."""
    return hashlib.sha256(b"asgi_token_auth kid\0" + key).hexdigest()[:16]


def _is_canonical(token: object) -> bool:
    """Three base64url parts, each spelled the only way it can be.

    jose ignores characters it doesn't know, and the spare bits of the last one: one signature
    would have any number of spellings, and a huge or deep token reaches its JSON parser.
    """
    if type(token) is not str or len(token) > MAXIMUM_TOKEN_CHARACTERS:
        return False
    return bool(THREE_PARTS.fullmatch(token)) and all(map(_is_canonical_part, token.split(".")))


def _is_canonical_part(part: str) -> bool:
    try:
        decoded = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        return False
    return urlsafe_b64encode(decoded).rstrip(b"=").decode() == part
