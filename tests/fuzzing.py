"""What the fuzzers send, and how: JSON in and around the expected, and requests of any bytes."""

import dataclasses
import json
import os
from typing import Any
from urllib.parse import unquote_to_bytes

import httpx
from conftest import Service
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from starlette.types import ASGIApp

EXAMPLES = int(os.environ.get("TEST_FUZZ_EXAMPLES", "0"))
FUZZED = settings(
    max_examples=EXAMPLES or 20,
    derandomize=not EXAMPLES,  # the same in each run of the suite
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
# Nothing that needs a database: more of it.
FUZZED_QUICKLY = settings(FUZZED, max_examples=10 * (EXAMPLES or 20))

NASTY = [
    "",
    " ",
    "\0",
    "x\0@example.com",
    "\ud800",
    "\udfff\ud800",
    "\u202eada\u202c",
    "a\u0301" * 40,
    "\u2028",
    "\x7f\x1b[31m",
    "ﷺ" * 30,
    "'; DROP TABLE users; --",
    "%s%(x)s{0}{token}$1\\",
    "a@example.com, b@example.com",
    "a@example.com\r\nBcc: b@example.com",
    "a\uff20example.com",
    "a@[127.0.0.1]",
    "ä@münchen.example",
    '"a b"@example.com',
    "a@" + "x" * 300 + ".com",
    "NaN",
    "1 or 1",
    "1.0",
    "1e3",
    "-1",
    "00",
    "٣",
    "9" * 19,
    "\U0001f600" * 2000,
    "x" * 8000,
    "x" * 65_536,
]
NUMBERS = [0, 1, -1, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400]
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40) | st.sampled_from(NASTY)
NUMBER = st.integers() | st.sampled_from(NUMBERS) | st.floats() | st.just(1.5)
SCALAR = st.none() | st.booleans() | NUMBER | ANY_TEXT
ANY_JSON = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
# Bytes that are no JSON, or that only some parsers take for it.
RAW_BODIES = [
    b"",
    b"{",
    b'{"user": NaN}',
    b'{"account": {"score": 1e999}}',
    b'{"user": -Infinity}',
    b'\xef\xbb\xbf{"user": {}}',
    '{"user": {}}'.encode("utf-16"),
    b'{"user": "\xff"}',
    b'{"user": "\xed\xa0\x80"}',
    b"{'user': {}}",
    b'{"user": {}}}',
    b'{"user": {"email": "a@example.com",}}',
    b"[" * 8000,
    b'{"a":' * 2500 + b"1" + b"}" * 2500,
    b"9" * 5000,
    b'{"id": ' + b"9" * 5000 + b"}",
    b'{"\\u0000": 1}',
    b"\0" * 100,
    b" " * 20_000,
]
CONTENT_TYPES = [
    b"application/json",
    b"APPLICATION/JSON",
    b"application/json; charset=utf-16",
    b"application/json;\xff",
    b"application/json, text/plain",
    b" application/json ",
    b"application/x-www-form-urlencoded",
    b"multipart/form-data; boundary=",
    b"text/plain",
    b"\xff\x00",
    b"",
]


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer as it left the application."""

    status: int
    headers: dict[str, str]
    body: bytes


async def ask(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    headers: list[tuple[bytes, bytes]] | None = None,
    query: bytes = b"",
    chunks: list[bytes] | None = None,
    root: str = "",
    client: Any = ("127.0.0.1", 5000),
) -> Answer:
    """Sends what no client library would let through; `path` is as a server has decoded it."""
    parts, sent = list(chunks or [b""]), []

    async def receive() -> Any:
        if not parts:
            return {"type": "http.disconnect"}
        body = parts.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(parts)}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "server": ("test", 80),
        "method": method,
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "root_path": root,
        "query_string": query,
        "headers": headers or [],
        "client": client,
    }
    await app(scope, receive, send)
    names = {k.decode("latin-1"): v.decode("latin-1") for k, v in sent[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(sent[0]["status"], names, body)


def check(service: Service, answer: Answer, method: str, path: str, body: bytes = b"") -> None:
    """What holds for every answer under the mount: no server error, JSON but for the page, for no
    cache; and what the document says."""
    assert answer.status < 500, answer
    assert answer.headers["cache-control"] == "no-store", answer
    if (answer.status, path) != (200, "/api/docs"):
        assert answer.headers["content-type"] == "application/json", answer
        json.loads(answer.body)
    response = httpx.Response(answer.status, headers=answer.headers, content=answer.body)
    service.contract.check_answer(method, path, response, body)


def body_of(value: Any) -> SearchStrategy[bytes]:
    """The spellings of a JSON value: with escapes, in UTF-8 where it can be, a key twice."""
    text = json.dumps(value)
    spelled = [
        text.encode(),
        json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"),
    ]
    if isinstance(value, dict) and value:
        name = json.dumps(next(iter(value)))
        spelled.append(f"{{{name}: 7, {text[1:]}".encode())
    return st.sampled_from(spelled)


def around(fields: dict[str, SearchStrategy[Any]], within: str) -> SearchStrategy[Any]:
    """An object with these fields, each good, missing or anything, and others besides."""
    each = {name: st.just(...) | good | ANY_JSON for name, good in fields.items()}
    chosen = st.fixed_dictionaries(each).map(
        lambda found: {name: value for name, value in found.items() if value is not ...}
    )
    odd = st.dictionaries(ANY_TEXT | st.sampled_from(["id", "confirmed_at"]), ANY_JSON, max_size=2)
    merged = st.tuples(odd, chosen).map(lambda both: {**both[0], **both[1]})
    good = st.fixed_dictionaries(fields)
    inner = good | merged
    return inner.map(lambda found: {within: found}) | ANY_JSON if within else inner | ANY_JSON


def decoded(path: str) -> str:
    """A percent-encoded path as uvicorn puts it into the scope."""
    return unquote_to_bytes(path.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")
