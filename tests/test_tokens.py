"""Forged, swapped, stripped, oversized and malleable tokens: each is an invalid token."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from conftest import running_service
from hypothesis import given
from hypothesis import strategies as st

from asgi_token_auth.exceptions import InvalidToken
from asgi_token_auth.testing import SECRET_KEY
from asgi_token_auth.tokens import TokenSigner, new_secret

KEY, OTHER = b"k" * 40, b"o" * 40
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
SIGNER = TokenSigner((KEY,), "HS256", lambda: NOW)
OTHERS = TokenSigner((OTHER,), "HS256", lambda: NOW)
CLAIMS: dict[str, Any] = {"id": 1, "token_id": "t", "iat": SECONDS, "exp": SECONDS + 60}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forge(claims: Any, key: bytes = KEY, header: Any = None, hash_: Any = hashlib.sha256) -> str:
    """A token by hand: whatever the header and claims, the signature is right."""
    head = {"alg": "HS256", "typ": "JWT"} if header is None else header
    texts = [part if isinstance(part, str) else json.dumps(part) for part in (head, claims)]
    signed = ".".join(b64(text.encode()) for text in texts)
    return f"{signed}.{b64(hmac.new(key, signed.encode(), hash_).digest())}"


def test_a_good_token_is_good() -> None:
    """Issued here, or by hand with the same key."""
    issued = SIGNER.issue(1, "t", SECONDS, SECONDS + 60)

    assert SIGNER.check(issued) == SIGNER.check(forge(CLAIMS)) == (1, "t", SECONDS, SECONDS + 60)


GOOD = forge(CLAIMS)
BAD = {
    "empty": "",
    "two parts": GOOD.rpartition(".")[0],
    "no signature": GOOD.rpartition(".")[0] + ".",
    "four parts": GOOD + ".x",
    "another key": forge(CLAIMS, OTHER),
    "alg none": forge(CLAIMS, header={"alg": "none"}),
    "alg HS512": forge(CLAIMS, header={"alg": "HS512"}, hash_=hashlib.sha512),
    "alg RS256": forge(CLAIMS, header={"alg": "RS256"}),
    "alg a list": forge(CLAIMS, header={"alg": ["HS256"]}),
    "no alg": forge(CLAIMS, header={}),
    "unknown kid": forge(CLAIMS, header={"alg": "HS256", "kid": "x"}),
    "kid a list": forge(CLAIMS, header={"alg": "HS256", "kid": []}),
    "crit": forge(CLAIMS, header={"alg": "HS256", "crit": ["x"]}),
    "b64": forge(CLAIMS, header={"alg": "HS256", "b64": False}),
    "jku": forge(CLAIMS, OTHER, header={"alg": "HS256", "jku": "https://x.example/jwks.json"}),
    "x5u": forge(CLAIMS, OTHER, header={"alg": "HS256", "x5u": "https://x.example/cert.pem"}),
    "jwk": forge(CLAIMS, OTHER, header={"alg": "HS256", "jwk": {"kty": "oct", "k": b64(OTHER)}}),
    "aud for others": forge({**CLAIMS, "aud": "others"}),
    "header no object": forge(CLAIMS, header="[]"),
    "deep header": forge(CLAIMS, header="[" * 2000),
    "deep claims": forge("[" * 2000),
    "claims no object": forge("[]"),
    "junk in the signature": GOOD[:-5] + "!!" + GOOD[-5:],
    "padding": GOOD + "==",
    "line end": GOOD + "\n",
    "oversized": forge({**CLAIMS, "x": "x" * 4096}),
    "surrogate": GOOD + "\ud800",
    "id missing": forge({k: v for k, v in CLAIMS.items() if k != "id"}),
    "id true": forge({**CLAIMS, "id": True}),
    "id a list": forge({**CLAIMS, "id": [1]}),
    "token_id a number": forge({**CLAIMS, "token_id": 1}),
    "exp missing": forge({k: v for k, v in CLAIMS.items() if k != "exp"}),
    "exp null": forge({**CLAIMS, "exp": None}),
    "exp text": forge({**CLAIMS, "exp": str(SECONDS + 60)}),
    "exp float": forge({**CLAIMS, "exp": SECONDS + 60.5}),
    "exp infinite": forge(json.dumps({**CLAIMS, "exp": 0}).replace('"exp": 0', '"exp": 1e999')),
    "exp now": forge({**CLAIMS, "exp": SECONDS}),
    "iat in the future": forge({**CLAIMS, "iat": SECONDS + 61}),
    "iat missing": forge({k: v for k, v in CLAIMS.items() if k != "iat"}),
    "nbf in the future": forge({**CLAIMS, "nbf": SECONDS + 61}),
    "no text": None,
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_token_is_invalid(name: str) -> None:
    """Whatever is wrong with it, and whatever jose would have raised."""
    with pytest.raises(InvalidToken):
        SIGNER.check(BAD[name])  # type: ignore[arg-type]


def test_a_signature_has_one_spelling() -> None:
    """The spare bits of the last character make no second token."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spellings = [GOOD[:-1] + character for character in alphabet]

    def is_good(token: str) -> bool:
        try:
            return bool(SIGNER.check(token))
        except InvalidToken:
            return False

    assert [token for token in spellings if is_good(token)] == [GOOD]


@given(st.text(max_size=300) | st.lists(st.text("abcAB=_-.", max_size=50)).map(".".join))
def test_any_text_is_an_invalid_token(text: str) -> None:
    """No input escapes as another error."""
    with pytest.raises(InvalidToken):
        SIGNER.check(text)


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"iss": "us"},
        {"aud": "app"},
        {"iss": "them", "aud": "app"},
        {"iss": "us", "aud": "theirs"},
        {"iss": "us", "aud": ["app"]},
        {"iss": ["us"], "aud": "app"},
        {"iss": "us", "aud": None},
        {"iss": None, "aud": "app"},
        {"iss": {"us": 1}, "aud": True},
        {"iss": "us ", "aud": "app"},
        {"iss": "us", "aud": "App"},
    ],
    ids=str,
)
def test_a_token_of_another_issuer_or_audience_is_invalid(names: dict[str, Any]) -> None:
    """Also one that names none, which jose takes: where names are set, they are demanded."""
    signer = TokenSigner((KEY,), "HS256", lambda: NOW, issuer="us", audience="app")

    with pytest.raises(InvalidToken):
        signer.check(forge({**CLAIMS, **names}))
    assert signer.check(forge({**CLAIMS, "iss": "us", "aud": "app"}))
    assert signer.check(signer.issue(1, "t", SECONDS, SECONDS + 60))


def test_a_key_id_of_another_key_does_not_help() -> None:
    """It names the key that the signature is checked with, and no other is tried."""
    both = TokenSigner((KEY, OTHER), "HS256", lambda: NOW)
    first, second = (each.issue(1, "t", SECONDS, SECONDS + 60) for each in (both, OTHERS))
    headers = [
        json.loads(base64.urlsafe_b64decode(t.split(".")[0] + "==")) for t in (first, second)
    ]

    assert both.check(forge(CLAIMS, KEY, headers[0])) == both.check(
        forge(CLAIMS, OTHER, headers[1])
    )
    for key, header in ((KEY, headers[1]), (OTHER, headers[0]), (OTHER, {"alg": "HS256"})):
        with pytest.raises(InvalidToken):
            both.check(forge(CLAIMS, key, header))


@pytest.mark.parametrize("key", [b'"' + b"k" * 40 + b'"', b'["' + b"k" * 40 + b'"]', b"7" * 40])
def test_a_key_that_looks_like_json_is_a_key(key: bytes) -> None:
    """jose would read it as one key or several, and verify with something else."""
    signer = TokenSigner((key,), "HS256", lambda: NOW)

    assert signer.check(signer.issue(1, "t", SECONDS, SECONDS + 60)) == signer.check(
        forge(CLAIMS, key)
    )


def test_keys_rotate() -> None:
    """The first signs, all verify; a key that is gone verifies nothing."""
    both = TokenSigner((OTHER, KEY), "HS256", lambda: NOW)
    old, new = (
        SIGNER.issue(1, "t", SECONDS, SECONDS + 60),
        both.issue(1, "t", SECONDS, SECONDS + 60),
    )

    assert both.check(old) == both.check(new)
    with pytest.raises(InvalidToken):
        SIGNER.check(new)


async def test_validly_signed_but_unknown_is_401(sqlite_url: str) -> None:
    """A token counts only while its row stands; and only for its own user."""
    async with running_service(sqlite_url) as service:
        good = (await service.new_user())["token"]
        claims = json.loads(base64.urlsafe_b64decode(good.split(".")[1] + "=="))
        key = SECRET_KEY.encode()
        unknown = ({"token_id": new_secret()}, {"id": 2}, {"id": "1 or 1"}, {"token_id": "\ud800"})
        for changed in unknown:
            forged = forge({**claims, **changed}, key)
            answer = await service.call("GET", "/api/messages", token=forged)
            assert answer.status_code == 401
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert await service.is_good(forge(claims, key))
