"""Issuing and checking JWTs: the one door to python-jose; random secrets and their digests."""

import binascii
import hashlib
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from jose import jwk, jwt
from jose.backends.base import Key

from asgi_token_auth.exceptions import InvalidToken
from asgi_token_auth.signing_keys import KeyPair

MAXIMUM_TOKEN_CHARACTERS = 4096
SECRET_BYTES = 32
CLOCK_SKEW_SECONDS = 60
P256_BYTES = 32
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # n; SEC 2, 2.4.2
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
        keys: secrets of at least 32 bytes each, or key pairs, all for the algorithm; the first
            signs.
        algorithm: exactly one of HS256, HS384, HS512, RS256, ES256: no other is accepted.
        clock: the time now, aware.
        issuer, audience: what `iss` and `aud` say; None: there are none.
    """

    def __init__(
        self,
        keys: Sequence[bytes] | Sequence[KeyPair],
        algorithm: str,
        clock: Callable[[], datetime],
        *,
        issuer: str | None = None,
        audience: str | None = None,
    ) -> None:
        self._signing_id, self._signing_key = _key_id(keys[0]), _signing(keys[0], algorithm)
        self._keys = {_key_id(key): _verifying(key, algorithm) for key in keys}
        self._published = {key.key_id: key.published() for key in keys if isinstance(key, KeyPair)}
        self._algorithm = algorithm
        self._clock = clock
        self._issuer, self._audience = issuer, audience
        names = {"iss": issuer, "aud": audience}
        self._names = {claim: name for claim, name in names.items() if name is not None}

    def issue(self, user_id: int | str, token_id: str, issued_at: int, expires_at: int) -> str:
        """A signed token; times in seconds since the epoch."""
        claims: dict[str, Any] = {"id": user_id, "token_id": token_id}
        claims |= {"iat": issued_at, "exp": expires_at, **self._names}
        headers = {"kid": self._signing_id}
        return str(jwt.encode(claims, self._signing_key, self._algorithm, headers))

    def published_keys(self) -> list[dict[str, str]]:
        """What others verify our tokens with: JWKs (RFC 7517). A shared secret has none."""
        return [*self._published.values()]

    def check(self, token: str, *, expired_too: bool = False) -> Claims:
        """The claims of a good token; with `expired_too` also of one that was good.

        Raises:
            InvalidToken: whatever else it is.
        """
        if not _is_canonical(token):
            raise InvalidToken
        try:
            header = jwt.get_unverified_header(token)
            # Of the header nothing else is believed: no `jwk`, `jku`, `x5c` or `x5u` brings a key.
            key = self._keys[header.get("kid", self._signing_id)]
            if header.get("alg") != self._algorithm or "crit" in header or "b64" in header:
                raise InvalidToken
            # Times are checked below, by our clock: jose takes `exp` as text, and takes exp == now.
            # So are names: jose takes a token without `aud`.
            payload = jwt.decode(token, key, [self._algorithm], options=_SIGNATURE_ONLY)
        except Exception as error:
            # jose lets RecursionError, OverflowError, AttributeError and more escape.
            raise InvalidToken from error
        return self._claims(payload, expired_too)

    def _claims(self, payload: dict[str, Any], expired_too: bool) -> Claims:
        user_id, token_id = payload.get("id"), payload.get("token_id")
        issued_at, expires_at = payload.get("iat"), payload.get("exp")
        if type(user_id) not in (int, str) or type(token_id) is not str:
            raise InvalidToken
        if type(issued_at) is not int or type(expires_at) is not int:
            raise InvalidToken
        if self._issuer is not None and payload.get("iss") != self._issuer:
            raise InvalidToken
        # RFC 7519, 4.1.3: a token for others is refused, also by those who have no name.
        if payload.get("aud") != self._audience:
            raise InvalidToken
        now = self._clock().timestamp()
        not_before = payload.get("nbf", 0)
        if type(not_before) is not int or not_before > now:
            raise InvalidToken
        if issued_at > now + CLOCK_SKEW_SECONDS or (expires_at <= now and not expired_too):
            raise InvalidToken
        return Claims(user_id, token_id, issued_at, expires_at)  # type: ignore[arg-type]


_SIGNATURE_ONLY = {
    f"verify_{claim}": False
    for claim in ("aud", "iat", "exp", "nbf", "iss", "sub", "jti", "at_hash")
}


class _OneSpelling(Key):
    """ES256 with the lower of the two `s`: (r, n - s) is as good a signature of the same text, and
    whoever holds a token could make a second one of it."""

    def __init__(self, key: Key) -> None:
        self._key = key

    def sign(self, msg: bytes) -> bytes:
        raw = self._key.sign(msg)
        r, s = raw[:P256_BYTES], int.from_bytes(raw[P256_BYTES:])
        return r + min(s, P256_ORDER - s).to_bytes(P256_BYTES)

    def verify(self, msg: bytes, sig: bytes) -> bool:
        is_low = int.from_bytes(sig[P256_BYTES:]) <= P256_ORDER // 2
        return is_low and self._key.verify(msg, sig)


def _signing(key: bytes | KeyPair, algorithm: str) -> Key:
    return _prepared(key.private if isinstance(key, KeyPair) else key, algorithm)


def _verifying(key: bytes | KeyPair, algorithm: str) -> Key:
    return _prepared(key.public if isinstance(key, KeyPair) else key, algorithm)


def _prepared(key: object, algorithm: str) -> Key:
    """A key for one algorithm: jose would guess from a key's text what it is, each time anew."""
    construct = jwk.get_key(algorithm)
    if construct is None or key is None:
        raise ValueError(f"no key for {algorithm}")
    prepared = construct(key, algorithm)
    return _OneSpelling(prepared) if algorithm == "ES256" else prepared


def _key_id(key: bytes | KeyPair) -> str:
    """A name for a key that gives nothing of it away."""
    if isinstance(key, KeyPair):
        return key.key_id
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
