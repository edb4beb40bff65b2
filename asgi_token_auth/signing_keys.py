"""Key pairs that sign tokens: reading them, naming them, and what is published of them."""

import dataclasses
import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from functools import partial

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

RSA_MINIMUM_BITS = 2048  # RFC 7518, section 3.3
RSA_MAXIMUM_BITS = 8192  # anything longer is for nobody's good, and its tokens are for no header
COORDINATE_BYTES = 32  # of a point on P-256
DER_SEQUENCE = b"0\x82"  # of 256 bytes or more: RSA; the shorter ones are tried
MARKS = (b"-----BEGIN", b"---- BEGIN", b"ssh-", b"ecdsa-sha2-", b'"kty"')
KINDS = {"RS256": "an RSA key", "ES256": "an EC key on the curve P-256"}

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclasses.dataclass(frozen=True, slots=True)
class KeyPair:
    """A key that verifies and, where its private half is known, signs.

    Args:
        algorithm: the one algorithm it is used with (RFC 8725, section 3.1).
        public: what verifies.
        private: what signs; None: it only verifies.
    """

    algorithm: str
    public: PublicKey
    private: PrivateKey | None = dataclasses.field(repr=False)

    @property
    def key_id(self) -> str:
        """Its thumbprint (RFC 7638): the same wherever it is computed, from either half."""
        required = json.dumps(self._required(), separators=(",", ":"), sort_keys=True)
        return _base64url(hashlib.sha256(required.encode()).digest())

    def published(self) -> dict[str, str]:
        """The public half as a JWK (RFC 7517, section 4)."""
        return {**self._required(), "use": "sig", "alg": self.algorithm, "kid": self.key_id}

    def _required(self) -> dict[str, str]:
        """The members that make the key (RFC 7518, 6.2.1 and 6.3.1), and no others."""
        numbers = self.public.public_numbers()
        if isinstance(numbers, rsa.RSAPublicNumbers):
            return {"kty": "RSA", "n": _uint(numbers.n), "e": _uint(numbers.e)}
        x, y = (_base64url(c.to_bytes(COORDINATE_BYTES)) for c in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def read_key_pairs(
    given: str | bytes | Sequence[str | bytes], algorithm: str
) -> tuple[KeyPair, ...]:
    """Key pairs from PEMs: the first is to sign, so it is a private one.

    Raises:
        ValueError: says what is wrong with them, and nothing of what they are.
    """
    if algorithm not in KINDS:
        raise ValueError(f"needs algorithm to be {' or '.join(KINDS)}: a family never mixes")
    pems = (given,) if isinstance(given, str | bytes) else tuple(given)
    pairs = tuple(_read(pem, algorithm) for pem in pems)
    if not pairs or pairs[0].private is None:
        raise ValueError("must begin with a private key: the first signs")
    return pairs


def is_asymmetric(secret: bytes) -> bool:
    """Whether what should be a secret is a key of a pair: PEM, OpenSSH, JWK or DER."""
    if secret.startswith(DER_SEQUENCE) or any(mark in secret for mark in MARKS):
        return True
    for load in (load_der_public_key, partial(load_der_private_key, password=None)):
        try:
            load(secret)
        except (ValueError, UnsupportedAlgorithm):
            continue
        except TypeError:
            pass  # it wants a password
        return True
    return False


def _read(pem: object, algorithm: str) -> KeyPair:
    text = pem.encode() if isinstance(pem, str) else pem
    if not isinstance(text, bytes):
        raise ValueError("must be PEM text or bytes, or a sequence of them")
    if text.count(b"KEY-----") > 2:  # the others would be passed over
        raise ValueError("must have each PEM by itself: a sequence of them")
    key = _load(text)
    private = key if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) else None
    public = private.public_key() if private is not None else key
    match public, algorithm:
        case rsa.RSAPublicKey(key_size=bits), "RS256":
            if not RSA_MINIMUM_BITS <= bits <= RSA_MAXIMUM_BITS:
                raise ValueError(f"must have {RSA_MINIMUM_BITS} to {RSA_MAXIMUM_BITS} bits")
            return KeyPair(algorithm, public, private)
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1()), "ES256":
            return KeyPair(algorithm, public, private)
    raise ValueError(f"must be {KINDS[algorithm]} for {algorithm}")


def _load(pem: bytes) -> object:
    """Whatever key is in a PEM. The errors below may quote what they read: none is chained."""
    try:
        return load_pem_private_key(pem, password=None)
    except TypeError:
        raise ValueError("must not be encrypted with a password") from None
    except (ValueError, UnsupportedAlgorithm):
        pass
    try:
        return load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("must be the PEM of a private or public key") from None


def _uint(number: int) -> str:
    return _base64url(number.to_bytes((number.bit_length() + 7) // 8))


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
