"""No spelling of a token but its own is accepted, no path leads around the guard."""

import base64
import json
from typing import Any
from urllib.parse import unquote

import pytest
from conftest import Service, ServiceFactory
from fuzzing import ANY_JSON, ANY_TEXT, FUZZED, FUZZED_QUICKLY, NUMBER, SCALAR, ask
from hypothesis import given
from hypothesis import strategies as st
from test_guarded_paths import APPS, SPELLINGS, read_leniently, status
from test_tokens import CLAIMS, GOOD, SECONDS, SIGNER, forge

from asgi_token_auth import TokenAuth, TokenAuthMiddleware
from asgi_token_auth.bearer import parse_bearer, read_authorization
from asgi_token_auth.exceptions import (
    InvalidToken,
    MalformedCredentials,
    MissingToken,
    TokenRefused,
)
from asgi_token_auth.testing import SECRET_KEY, Mailbox, settings
from asgi_token_auth.tokens import Claims

OTHER_KEY, OTHER_ID = forge(CLAIMS, b"o" * 40), forge({**CLAIMS, "id": 2})
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
JUNK = st.sampled_from([*ALPHABET, *"=+/.~ \t\n\0\x7f", "\u00a0", "\uff21", "\ud800", "é"])


def is_good(token: str) -> bool:
    """Whether it is checked as good; any other error than InvalidToken fails the test."""
    try:
        return bool(SIGNER.check(token))
    except InvalidToken:
        return False


def flip(token: str, at: int, bit: int) -> str:
    return token[:at] + chr(ord(token[at]) ^ (1 << bit)) + token[at + 1 :]


@st.composite
def mutated(draw: st.DrawFn, token: str) -> str:
    """The token with a few changes of the kinds that lenient parsers overlook."""
    text = token
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        at = draw(st.integers(0, max(len(text) - 1, 0)))
        kind = draw(st.sampled_from(["flip", "junk", "drop", "case", "swap", "spare", "padding"]))
        if kind == "flip" and text:
            text = flip(text, at, draw(st.integers(0, 6)))
        elif kind == "junk":
            text = text[:at] + draw(JUNK) + text[at:]
        elif kind == "drop":
            text = text[:at] + text[at + draw(st.integers(1, 8)) :]
        elif kind == "case":
            text = text[:at] + text[at:].swapcase()
        elif kind == "swap":
            text = ".".join(draw(st.permutations(text.split("."))))
        elif kind == "spare":  # some bits of a part's last character say nothing
            parts = text.split(".")
            last = draw(st.integers(0, len(parts) - 1))
            parts[last] = parts[last][:-1] + draw(st.sampled_from(ALPHABET))
            text = ".".join(parts)
        else:
            text += draw(st.sampled_from(["=", "==", "===", "\n", " ", "\0"]))
    return text


@FUZZED_QUICKLY
@given(token=mutated(GOOD))
def test_only_the_exact_token_is_good(token: str) -> None:
    """Bits, padding, other alphabets, white space, case, parts in another order."""
    assert is_good(token) == (token == GOOD)


@FUZZED_QUICKLY
@given(
    parts=st.lists(st.sampled_from([GOOD, forge(CLAIMS, b"o" * 40), forge({**CLAIMS, "id": 2})]))
)
def test_parts_of_several_tokens_make_no_other(parts: list[str]) -> None:
    """The head of one, the claims of another, the signature of a third."""
    pieces = [token.split(".") for token in parts[:3]]
    token = ".".join(piece[place] for place, piece in enumerate(pieces))

    assert is_good(token) == (len(parts) >= 3 and token in (GOOD, forge({**CLAIMS, "id": 2})))


ODD_TIME = NUMBER | st.integers(SECONDS - 100, SECONDS + 100) | SCALAR
ODD_CLAIMS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.integers() | SCALAR | ANY_JSON,
        "token_id": ANY_TEXT | SCALAR | ANY_JSON,
        "iat": ODD_TIME,
        "exp": ODD_TIME,
        "nbf": ODD_TIME,
        "aud": SCALAR,
        "iss": SCALAR,
        "sub": SCALAR,
        "jti": SCALAR,
    },
)


@FUZZED_QUICKLY
@given(odd=ODD_CLAIMS, dropped=st.sampled_from(["", "", *CLAIMS]))
def test_claims_are_taken_as_they_are_or_not_at_all(odd: dict[str, Any], dropped: str) -> None:
    """With a right signature: strictly typed, and of now."""
    claims = {name: value for name, value in {**CLAIMS, **odd}.items() if name != dropped}
    token = forge(json.dumps(claims))
    read = json.loads(json.dumps(claims))  # NaN and infinity, too
    types = {"id": (int, str), "token_id": (str,), "iat": (int,), "exp": (int,)}
    typed = all(type(read.get(name)) in allowed for name, allowed in types.items())
    begun = type(read.get("nbf", 0)) is int and read.get("nbf", 0) <= SECONDS

    if (
        typed
        and begun
        and read.get("aud") is None  # a token for others
        and read["exp"] > SECONDS
        and read["iat"] <= SECONDS + 60
        and len(token) <= 4096
    ):
        assert SIGNER.check(token) == Claims(read["id"], read["token_id"], read["iat"], read["exp"])
    else:
        assert not is_good(token)


HEADER_FIELDS = st.tuples(
    st.sampled_from(["alg", "kid", "crit", "b64", "typ", "jwk", "jku", "x5u"]),
    st.sampled_from(["HS384", "none", "hs256", "", None, [], ["HS256"], ["exp"], 0]) | ANY_JSON,
)


@FUZZED_QUICKLY
@given(header=st.lists(HEADER_FIELDS, max_size=2).map(lambda odd: {"alg": "HS256", **dict(odd)}))
def test_a_header_chooses_nothing(header: dict[str, Any]) -> None:
    """Not the algorithm, not the key, not what must be understood."""
    plain = header["alg"] == "HS256" and not {"kid", "crit", "b64"} & set(header)
    token = forge(CLAIMS, header=json.dumps(header))

    assert is_good(token) == (plain and len(token) <= 4096)


AUTHORIZATION = st.binary(max_size=40) | st.builds(
    lambda *parts: b"".join(parts),
    st.sampled_from([b"", b" ", b"\t"]),
    st.sampled_from([b"Bearer", b"bearer", b"BEARER", b"Basic", b"Bearer:", b"\xe2\x80\x8bBearer"]),
    st.sampled_from([b" ", b"  ", b"\t", b"", b"\xa0"]),
    st.sampled_from([b"token", b"to ken", b"t\xff", b"", b"a.b.c", b"a,b"])
    | st.binary(max_size=20),
    st.sampled_from([b"", b" ", b"\t", b"\r\n"]),
)


@FUZZED_QUICKLY
@given(
    headers=st.lists(
        st.tuples(
            st.sampled_from([b"authorization", b"x-authorization", b"cookie"]), AUTHORIZATION
        ),
        max_size=3,
    )
)
def test_one_header_of_one_scheme_and_one_token(headers: list[tuple[bytes, bytes]]) -> None:
    """What is read is one word of the one header; all else is refused, as what it is."""
    values = [value for name, value in headers if name == b"authorization"]
    try:
        token = parse_bearer(read_authorization(headers))
    except MalformedCredentials:
        assert len(values) > 1 or values[0].strip(b" \t").lower().startswith(b"bearer")
    except MissingToken:
        assert not values or not values[0].strip(b" \t").lower().startswith(b"bearer ")
    else:
        (value,) = values
        scheme, word = value.strip(b" \t").split(b" ", 1)
        assert (scheme.lower(), word.strip(b" ")) == (b"bearer", token)
        assert token
        assert token.isascii()
        assert b" " not in token


@pytest.fixture
async def logged_in(start_service: ServiceFactory) -> tuple[Service, str]:
    """A service, and a token that it knows by heart."""
    service = await start_service()
    token = (await service.new_user())["token"]
    assert await service.is_good(token)
    return service, token


@FUZZED
@given(data=st.data())
async def test_a_known_token_opens_by_its_own_bytes_only(
    logged_in: tuple[Service, str], data: st.DataObject
) -> None:
    """Also once it is remembered by what the header said."""
    service, token = logged_in
    changed = data.draw(mutated(token)).encode("utf-8", "surrogatepass")
    header = data.draw(st.sampled_from([b"Bearer ", b"bearer  ", b" BEARER "])) + changed
    try:
        same = parse_bearer(header) == token.encode()
    except TokenRefused:
        same = False

    for path in ("/api/messages", "/api/account"):
        answer = await ask(service.app, "GET", path, headers=[(b"authorization", header)])
        assert (answer.status == 200) == same
        assert answer.status in (200, 400, 401)
    assert await service.is_good(token)


ODD_ID = ANY_TEXT | st.sampled_from(["\ud800", "\0", ""])


@FUZZED
@given(odd=st.fixed_dictionaries({}, optional={"id": SCALAR, "token_id": ODD_ID, "x": SCALAR}))
async def test_a_signed_token_of_nobody_is_refused(
    logged_in: tuple[Service, str], odd: dict[str, Any]
) -> None:
    """Whatever id it names, on each database: signed by us is not enough."""
    service, token = logged_in
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    forged = forge(json.dumps({**claims, **odd}), SECRET_KEY.encode())
    same = all(odd.get(name, claims[name]) == claims[name] for name in ("id", "token_id"))
    same = same and type(odd.get("id", 1)) is int and len(forged) <= 4096

    answer = await service.call("GET", "/api/messages", token=forged)

    assert answer.status_code == (200 if same else 401)


PIECES = ["api", "messages", "open", "API", "Messages", "/", "//", "..", ".", "%2e", "%2f", "%252f"]
PIECES += ["%61", ";", ";x=1", "%00", "%0a", "\\", "%5c", " ", "%20", "\u212a", "x", "?", "#", "%"]


PUBLIC_SPELLINGS = [
    "/api/messages/open",
    "/api/messages/open/1",
    "/api/messages/open/../1",
    "/api/messages/open/%2e%2e/1",
    "/api/messages/open/..;x/1",
    "/api/messages/open/..",
    "/api/open",
]


@st.composite
def paths(draw: st.DrawFn) -> str:
    """A spelling of what is guarded or of what is public, with a few pieces put in anywhere."""
    path = draw(st.sampled_from([*SPELLINGS, *PUBLIC_SPELLINGS]))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(path)))
        path = path[:at] + draw(st.sampled_from(PIECES) | st.text(max_size=2)) + path[at:]
    return path


@pytest.fixture
def auth(tmp_path: Any) -> TokenAuth:
    """Nobody has a token here, so no database is asked."""
    return TokenAuth(database=f"sqlite:///{tmp_path}/x.db", **settings(Mailbox()))


@pytest.mark.parametrize("kind", ["route", "lenient"])
@FUZZED_QUICKLY
@given(
    path=paths(),
    root=st.sampled_from(["", "/v1", "/api"]),
    inside=st.booleans(),
    method=st.sampled_from(["GET", "HEAD", "POST", "OPTIONS"]),
)
async def test_what_is_served_unguarded_is_refused_guarded(
    auth: TokenAuth, kind: str, path: str, root: str, inside: bool, method: str
) -> None:
    """For paths nobody thought of, by a strict router and the most lenient one; an exception for a
    path that is public opens no other."""
    app = APPS[kind]
    options = {"public": ["/api/messages/open"], "optional": ["/api/open"]}
    guarded = TokenAuthMiddleware(app, auth=auth, protect=["/api/messages"], **options)
    asked = (root + path) if inside else path

    if await status(app, asked, root, method) == 200:
        answer = await status(guarded, asked, root, method)
        below = asked.removeprefix(root) if inside else asked
        is_open = read_leniently(unquote(below))[:3] == ["api", "messages", "open"]
        assert answer == 401 or (answer == 200 and is_open), (asked, root)
