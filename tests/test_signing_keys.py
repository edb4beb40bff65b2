"""RS256 and ES256: what is taken for a key, what is published, and what no key makes good."""

import asyncio
import base64
import hashlib
import hmac
import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import httpx
import jwt as pyjwt
import pytest
from conftest import running_service
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from server_fleet import serving
from starlette.applications import Starlette
from starlette.routing import Route
from websockets.asyncio.client import connect

from asgi_token_auth import SettingsError, TokenAuth
from asgi_token_auth.clock import utc_now
from asgi_token_auth.exceptions import InvalidToken
from asgi_token_auth.signing_keys import KeyPair, read_key_pairs
from asgi_token_auth.tokens import MAXIMUM_TOKEN_CHARACTERS, TokenSigner

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
CLAIMS: dict[str, Any] = {"id": 1, "token_id": "t", "iat": SECONDS, "exp": SECONDS + 60}
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def private_pem(key: Any, password: bytes | None = None) -> str:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode())


def public_pem(key: Any) -> str:
    return public_bytes(key, Encoding.PEM).decode()


def public_bytes(key: Any, encoding: Encoding) -> bytes:
    return bytes(key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo))


RSA, OTHER_RSA = (rsa.generate_private_key(65537, 2048) for _ in range(2))
EC, OTHER_EC = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
KEYS: dict[str, tuple[Any, Any]] = {"RS256": (RSA, OTHER_RSA), "ES256": (EC, OTHER_EC)}
ALGORITHMS = sorted(KEYS)
GOOD: dict[str, Any] = {
    "database": "sqlite:///x.db",
    "secret_key": "k" * 40,
    "email_sender": "app@example.com",
}


def pairs(algorithm: str, *pems: str) -> tuple[KeyPair, ...]:
    return read_key_pairs(pems or private_pem(KEYS[algorithm][0]), algorithm)


def signer(algorithm: str, *pems: str, **names: str) -> TokenSigner:
    return TokenSigner(pairs(algorithm, *pems), algorithm, lambda: NOW, **names)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signature(key: Any, signed: bytes) -> bytes:
    """By hand: of whatever key is given, and secrets too."""
    if isinstance(key, bytes):
        return hmac.new(key, signed, hashlib.sha256).digest()
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    r, s = utils.decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32) + min(s, P256_ORDER - s).to_bytes(32)


def forge(key: Any, header: dict[str, Any], claims: Any = CLAIMS) -> str:
    """A token by hand: whatever it says, the signature is right."""
    signed = ".".join(b64(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{b64(signature(key, signed.encode()))}"


# --- what is taken for a key


SMALL, WRONG_CURVE = rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP384R1())


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"algorithm": "RS256"}, "algorithm RS256 needs a signing_key"),
        ({"signing_key": private_pem(RSA)}, "signing_key needs algorithm"),
        ({"algorithm": "HS512", "signing_key": private_pem(EC)}, "signing_key needs algorithm"),
        ({"algorithm": "ES256", "signing_key": private_pem(RSA)}, "an EC key on the curve P-256"),
        ({"algorithm": "RS256", "signing_key": private_pem(EC)}, "signing_key must be an RSA key"),
        ({"algorithm": "ES256", "signing_key": private_pem(WRONG_CURVE)}, "curve P-256"),
        ({"algorithm": "RS256", "signing_key": private_pem(SMALL)}, "2048"),
        ({"algorithm": "RS256", "signing_key": public_pem(RSA)}, "begin with a private key"),
        ({"algorithm": "ES256", "signing_key": [public_pem(EC), private_pem(EC)]}, "private key"),
        ({"algorithm": "ES256", "signing_key": []}, "begin with a private key"),
        ({"algorithm": "ES256", "signing_key": ""}, "PEM"),
        ({"algorithm": "ES256", "signing_key": private_pem(EC, b"pw")}, "password"),
        ({"algorithm": "ES256", "signing_key": "k" * 40}, "PEM"),
        ({"algorithm": "ES256", "signing_key": b"\xff"}, "PEM"),
        ({"algorithm": "ES256", "signing_key": "\ud800"}, "PEM"),
        ({"algorithm": "ES256", "signing_key": private_pem(EC) + public_pem(EC)}, "by itself"),
        ({"algorithm": "ES256", "signing_key": 7}, "PEM"),
        ({"algorithm": "ES256", "signing_key": [private_pem(EC), 7]}, "PEM"),
        ({"algorithm": "ES256", "signing_key": [private_pem(EC), private_pem(RSA)]}, "P-256"),
        (
            {
                "algorithm": "ES256",
                "signing_key": private_pem(ed25519.Ed25519PrivateKey.generate()),
            },
            "P-256",
        ),
        ({"secret_key": public_pem(EC)}, "secret_key looks like an asymmetric key"),
        ({"secret_key": public_bytes(EC, Encoding.DER)}, "secret_key looks like an asymmetric key"),
        ({"secret_key": public_bytes(RSA, Encoding.DER)}, "looks like an asymmetric key"),
        ({"secret_key": public_bytes(RSA, Encoding.DER) + b"\n"}, "like an asymmetric key"),
        (
            {
                "secret_key": EC.private_bytes(
                    Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw")
                )
            },
            "secret_key looks like an asymmetric key",
        ),
        ({"secret_key": "ssh-ed25519 " + "A" * 40}, "looks like an asymmetric key"),
        ({"secret_key": "a key, ecdsa-sha2-nistp256 " + "A" * 40}, "looks like an asymmetric key"),
        ({"secret_key": json.dumps(pairs("ES256")[0].published())}, "an asymmetric key"),
        ({"issuer": ""}, "issuer"),
        ({"issuer": "x" * 256}, "issuer"),
        ({"audience": ["app"]}, "audience"),
        ({"audience": "a\nb"}, "audience"),
    ],
)
def test_a_wrong_key_is_named(settings: dict[str, Any], fault: str) -> None:
    """At construction, and nothing of the key is told."""
    with pytest.raises(SettingsError) as refused:
        TokenAuth(**{**GOOD, **settings})

    assert len(refused.value.faults) == 1
    assert fault in str(refused.value)
    assert "BEGIN" not in str(refused.value)
    assert refused.value.__context__ is None


def test_keys_are_in_no_repr() -> None:
    """Neither PEM nor numbers."""
    auth = TokenAuth(**GOOD, algorithm="ES256", signing_key=private_pem(EC))
    secret = private_pem(EC).splitlines()[1]

    for shown in (repr(auth), repr(auth.settings), repr(auth.settings.key_pairs)):
        assert secret not in shown
        assert str(EC.private_numbers().private_value) not in shown


@pytest.mark.parametrize(
    "text", [private_pem(EC), json.dumps([private_pem(EC), public_pem(OTHER_EC)])]
)
def test_from_env_reads_one_key_or_a_list(text: str) -> None:
    """PEM as it is, or in a JSON list, which also fits on one line."""
    environ = {f"TOKEN_AUTH_{name.upper()}": value for name, value in GOOD.items()}
    environ |= {"TOKEN_AUTH_ALGORITHM": "ES256", "TOKEN_AUTH_SIGNING_KEY": text}
    environ |= {"TOKEN_AUTH_ISSUER": "https://example.com", "TOKEN_AUTH_AUDIENCE": "app"}

    settings = TokenAuth.from_env(environ).settings

    assert settings.key_pairs[0] == settings.token_keys[0]
    assert len(settings.key_pairs) == (2 if text.startswith("[") else 1)
    assert (settings.issuer, settings.audience) == ("https://example.com", "app")


def test_a_key_id_is_the_thumbprint() -> None:
    """RFC 7638 has an example, in section 3.1."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECP"
        "ebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY"
        "368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0f"
        "M4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    n = int.from_bytes(base64.urlsafe_b64decode(modulus + "=="))
    pair = KeyPair("RS256", rsa.RSAPublicNumbers(65537, n).public_key(), None)

    assert pair.key_id == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert pair.published()["n"] == modulus


def test_the_package_that_scanners_flag_is_not_used() -> None:
    """python-jose brings ecdsa along (CVE-2024-23342); signing leaves it where it is."""
    program = (
        "import sys; from asgi_token_auth.tokens import TokenSigner; from datetime import *;"
        "from asgi_token_auth.signing_keys import read_key_pairs as read;"
        "signer = TokenSigner(read(sys.argv[1], 'ES256'), 'ES256', lambda: datetime.now(UTC));"
        "signer.check(signer.issue(1, 't', 0, 2**40)); print('ecdsa' in sys.modules)"
    )
    command = [sys.executable, "-c", program, private_pem(EC)]

    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


# --- what is published


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_another_library_verifies_our_tokens(sqlite_url: str, algorithm: str) -> None:
    """From what is served, by RFC 7517 and 7519, with issuer and audience."""
    key, old = KEYS[algorithm]
    names = {"issuer": "https://example.com", "audience": "app"}
    async with running_service(
        sqlite_url, algorithm=algorithm, signing_key=[private_pem(key), public_pem(old)], **names
    ) as service:
        token = (await service.new_user())["token"]
        answer = await service.call("GET", "/api/.well-known/jwks.json")
        assert await service.is_good(token)

    assert answer.headers["cache-control"] == "public, max-age=300"
    published = answer.json()["keys"]
    assert len(published) == 2
    assert {(key["use"], key["alg"]) for key in published} == {("sig", algorithm)}
    assert not {"d", "p", "q", "dp", "dq", "qi"} & {name for key in published for name in key}
    known = pyjwt.PyJWKSet.from_dict(answer.json())
    verifying = known[pyjwt.get_unverified_header(token)["kid"]]
    claims = pyjwt.decode(token, verifying, algorithms=[algorithm], **names)
    assert claims["id"] == 1
    for wrong in ({**names, "issuer": "them"}, {**names, "audience": "theirs"}):
        with pytest.raises(pyjwt.InvalidTokenError):
            pyjwt.decode(token, verifying, algorithms=[algorithm], **wrong)


async def test_a_secret_is_not_published(sqlite_url: str) -> None:
    """Whoever verifies with it could sign."""
    async with running_service(sqlite_url) as service:
        answer = await service.call("GET", "/api/.well-known/jwks.json")
        assert (await service.call("POST", "/api/.well-known/jwks.json")).status_code == 405

    assert (answer.status_code, answer.json()) == (200, {"keys": []})


async def test_the_keys_are_served_where_one_wants_them() -> None:
    """At the host's root by a route of one's own; under a guard without a token."""
    auth = TokenAuth(**GOOD, algorithm="ES256", signing_key=private_pem(EC))
    own = Starlette(routes=[Route("/.well-known/jwks.json", auth.endpoints.jwks)])
    wrapped = auth.wrap(own, mount="/api", protect=["/api", "/private"])
    transport = httpx.ASGITransport(wrapped)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        there = await client.get("/api/.well-known/jwks.json")
        here = await client.get("/.well-known/jwks.json")
        other = await client.get("/api/.well-known/other.json")

    assert there.json() == here.json() == {"keys": [auth.settings.key_pairs[0].published()]}
    assert other.status_code == 401


# --- what no key makes good


def bad_tokens(algorithm: str) -> dict[str, str]:
    """Tokens that a signer with `KEYS[algorithm]`, both its keys, must refuse."""
    key, other = KEYS[algorithm]
    stranger = rsa.generate_private_key(65537, 2048) if algorithm == "RS256" else EC_STRANGER
    ids = [pair.key_id for pair in pairs(algorithm, private_pem(key), private_pem(other))]
    foreign = next(KEYS[name][0] for name in ALGORITHMS if name != algorithm)
    foreign_algorithm = next(name for name in ALGORITHMS if name != algorithm)
    right = {"alg": algorithm, "kid": ids[0]}
    jwk = pyjwt.get_algorithm_by_name(algorithm).to_jwk(stranger.public_key(), as_dict=True)
    secrets = {
        f"the {name} as a secret, alg {alg}, {kid}": forge(
            public_bytes(key, encoding), {"alg": alg, "kid": ids[0]} if kid else {"alg": alg}
        )
        for name, encoding in (("PEM", Encoding.PEM), ("DER", Encoding.DER))
        for alg in ("HS256", algorithm)
        for kid in ("kid", "")
    }
    return {
        **secrets,
        "secret_key as the secret": forge(GOOD["secret_key"].encode(), {"alg": "HS256"}),
        "alg none": forge(key, {**right, "alg": "none"}).rpartition(".")[0] + ".AA",
        "of the other family": forge(foreign, {**right, "alg": foreign_algorithm}),
        "of the other family, by our name": forge(foreign, right),
        "our key, alg a list": forge(key, {**right, "alg": [algorithm]}),
        "our key, alg of more bits": forge(key, {**right, "alg": algorithm[:2] + "512"}),
        "our key, alg PS256": forge(key, {**right, "alg": "PS256"}),
        "our key, another's kid": forge(key, {**right, "kid": ids[1]}),
        "another of ours, no kid": forge(other, {"alg": algorithm}),
        "our key, unknown kid": forge(key, {**right, "kid": "x"}),
        "our key, kid a path": forge(key, {**right, "kid": "../../dev/null"}),
        "our key, kid null": forge(key, {**right, "kid": None}),
        "crit": forge(key, {**right, "crit": ["exp"]}),
        "b64": forge(key, {**right, "b64": False}),
        "b64 true": forge(key, {**right, "b64": True}),
        "a stranger's": forge(stranger, right),
        "jwk": forge(stranger, {**right, "jwk": jwk}),
        "jku": forge(stranger, {**right, "jku": "http://127.0.0.1:1/jwks.json"}),
        "x5u": forge(stranger, {**right, "x5u": "http://127.0.0.1:1/cert.pem"}),
        "x5c": forge(stranger, {**right, "x5c": [b64(public_bytes(stranger, Encoding.DER))]}),
        "empty signature": forge(key, right).rpartition(".")[0] + ".AA",
        "zero signature": forge(key, right).rpartition(".")[0] + "." + b64(bytes(64)),
        "long signature": forge(key, right) + "AAAA",
    }


EC_STRANGER = ec.generate_private_key(ec.SECP256R1())
BAD = {(name, what): token for name in ALGORITHMS for what, token in bad_tokens(name).items()}


@pytest.mark.parametrize(("algorithm", "what"), BAD, ids=str)
def test_a_bad_token_is_invalid(algorithm: str, what: str) -> None:
    """The key that the header names, for the one algorithm, or nothing."""
    with pytest.raises(InvalidToken):
        signer(algorithm, *map(private_pem, KEYS[algorithm])).check(BAD[algorithm, what])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_good_token_is_good(algorithm: str) -> None:
    """Issued here or by hand, in the way of the bad ones above; of either key, with its name."""
    key, other = KEYS[algorithm]
    both = signer(algorithm, private_pem(key), public_pem(other))
    issued = both.issue(1, "t", SECONDS, SECONDS + 60)
    by_hand = [
        forge(each, {"alg": algorithm, "kid": pair.key_id})
        for each, pair in zip(
            (key, other), pairs(algorithm, private_pem(key), private_pem(other)), strict=True
        )
    ]

    assert {both.check(token) for token in (issued, *by_hand)} == {both.check(issued)}


@pytest.mark.parametrize("algorithm", ["HS256", *ALGORITHMS])
def test_no_secret_verifies_in_another_family(algorithm: str) -> None:
    """Whichever algorithm is set, tokens of the two others are no tokens."""
    issued = {name: signer(name).issue(1, "t", SECONDS, SECONDS + 60) for name in ALGORITHMS}
    secret = TokenSigner((b"k" * 40,), "HS256", lambda: NOW)
    issued["HS256"] = secret.issue(1, "t", SECONDS, SECONDS + 60)
    checking = secret if algorithm == "HS256" else signer(algorithm)

    assert checking.check(issued.pop(algorithm))
    for token in issued.values():
        with pytest.raises(InvalidToken):
            checking.check(token)


def test_an_ecdsa_signature_has_one_spelling() -> None:
    """(r, n - s) is as good as (r, s) to the mathematics: only the lower is issued, and taken."""
    checking = signer("ES256")
    for number in range(40):  # half of them would be high
        token = checking.issue(number, "t", SECONDS, SECONDS + 60)
        signed, _, text = token.rpartition(".")
        raw = base64.urlsafe_b64decode(text + "==")
        s = int.from_bytes(raw[32:])
        mirrored = f"{signed}.{b64(raw[:32] + (P256_ORDER - s).to_bytes(32))}"

        assert checking.check(token).user_id == number
        assert pyjwt.decode(mirrored, EC.public_key(), ["ES256"], options=UNTIMED)["id"] == number
        with pytest.raises(InvalidToken):
            checking.check(mirrored)


UNTIMED: Any = {"verify_exp": False, "verify_iat": False}


def test_an_rsa_signature_has_one_spelling() -> None:
    """s + n is s to the mathematics, and fits into as many bytes for a small s."""
    checking, modulus = signer("RS256"), RSA.public_key().public_numbers().n
    raised = 2**2048
    for number in range(2000):
        signed, _, text = checking.issue(number, "t", SECONDS, SECONDS + 60).rpartition(".")
        raw = base64.urlsafe_b64decode(text + "==")
        raised = int.from_bytes(raw) + modulus
        if raised < 2**2048:
            break

    assert raised < 2**2048
    assert pow(raised, 65537, modulus) == pow(int.from_bytes(raw), 65537, modulus)
    for spelling in (raised.to_bytes(256), b"\0" + raw, raised.to_bytes(257)):
        with pytest.raises(InvalidToken):
            checking.check(f"{signed}.{b64(spelling)}")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_keys_rotate(sqlite_url: str, algorithm: str) -> None:
    """Published, then signing, then only verifying, then gone: nobody is logged out before that."""
    old, new = map(private_pem, KEYS[algorithm])
    tokens = []
    for keys in ([old], [old, new], [new, old]):
        async with running_service(sqlite_url, algorithm=algorithm, signing_key=keys) as service:
            if not tokens:
                await service.new_user()
            tokens.append((await service.log_in()).json()["token"])
            assert [await service.is_good(token) for token in tokens] == [True] * len(tokens)
    async with running_service(sqlite_url, algorithm=algorithm, signing_key=new) as service:
        assert [await service.is_good(token) for token in tokens] == [False, False, True]


# --- sizes


@pytest.mark.parametrize(("algorithm", "bits"), [("RS256", 2048), ("RS256", 4096), ("ES256", 256)])
async def test_the_longest_tokens_fit(sqlite_url: str, algorithm: str, bits: int) -> None:
    """Into our limit, a real server's header, and the subprotocol by which browsers send it."""
    key: Any = EC if algorithm == "ES256" else rsa.generate_private_key(65537, bits)
    names = {"issuer": "i" * 255, "audience": "a" * 255}
    signing = signer(algorithm, private_pem(key), **names)
    longest = signing.issue("u" * 255, "t" * 43, SECONDS, SECONDS + 60)
    assert signing.check(longest).user_id == "u" * 255
    assert len(longest) < MAXIMUM_TOKEN_CHARACTERS / 2
    environment = {f"TOKEN_AUTH_{name.upper()}": value for name, value in names.items()}
    environment |= {"TOKEN_AUTH_ALGORITHM": algorithm, "TOKEN_AUTH_SIGNING_KEY": private_pem(key)}

    async with running_service(sqlite_url, clock=utc_now):
        pass  # the tables
    async with serving(sqlite_url, **environment) as (server,):
        ada = {"username": "ada", "password": "secret"}
        assert (await server.call("POST", "/api/users", body={"user": ada})).body == "ok"
        token = (await server.call("POST", "/api/sessions", body=ada)).body["token"]
        assert (await server.call("GET", "/api/messages", token)).status == 200
        url = f"ws://127.0.0.1:{server.port}/api/messages/live"
        async with connect(url, subprotocols=["bearer", token]) as socket:  # type: ignore[list-item]
            assert await asyncio.wait_for(socket.recv(), 10) == "ada"
