"""Whatever is sent: no server error, no answer that /openapi.json does not know, nothing half done.

`TEST_FUZZ_EXAMPLES=1000` makes all of it longer, and random.
"""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
import uvicorn
from conftest import Service, ServiceFactory
from fuzzing import (
    ANY_TEXT,
    CONTENT_TYPES,
    EXAMPLES,
    FUZZED,
    RAW_BODIES,
    SCALAR,
    around,
    ask,
    body_of,
    check,
    decoded,
)
from hypothesis import given
from hypothesis import strategies as st
from test_openapi import RICH, RICH_FIELDS

TESTS = Path(__file__).parent
JSON_TYPE = (b"content-type", b"application/json")
EMAIL = st.sampled_from([f"user{n}@example.com" for n in range(8)])
USERNAME = st.sampled_from([f"user{n}" for n in range(8)])
PASSWORD = st.sampled_from(["secret", "another secret"])
MAILED = st.sampled_from(["x" * 43, "\0", "-" * 43])
EXTRA = {
    "name": st.sampled_from(["Ada", "\U0001f600" * 10]),
    "age": st.integers(-(2**31), 2**31 - 1),
    "score": st.floats(allow_nan=False, allow_infinity=False) | st.just(10**400),
    "keen": st.booleans(),
    "optional": st.sampled_from(["yes", "no"]),
    "traits": st.dictionaries(ANY_TEXT, SCALAR, max_size=3) | st.lists(SCALAR, max_size=3),
}
IDS = st.sampled_from(["1", "2", "0", "-1", str(2**63), "1 or 1", "true", "1.5"]) | ANY_TEXT.map(
    lambda text: decoded(text.replace("/", "")) or "0"
)
ENDPOINTS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "sign_up": (
        "POST",
        "/users",
        "user",
        {"email": EMAIL | st.none(), "username": USERNAME, "password": PASSWORD, **EXTRA},
    ),
    "confirm": ("POST", "/users/{}/confirm", "", {"confirmation_token": MAILED}),
    "resend_confirmation": ("POST", "/confirmations", "", {"email": EMAIL}),
    "log_in": ("POST", "/sessions", "", {"email": EMAIL, "password": PASSWORD}),
    "log_in_by_name": ("POST", "/session", "", {"username": USERNAME, "password": PASSWORD}),
    "token": ("POST", "/token", "", {"username": USERNAME, "password": PASSWORD}),
    "list_sessions": ("GET", "/sessions", "", {}),
    "log_out": ("DELETE", "/sessions", "", {}),
    "revoke_session": ("DELETE", "/sessions/{}", "", {}),
    "request_password_reset": ("POST", "/password_resets", "", {"email": EMAIL}),
    "reset_password": (
        "POST",
        "/password_resets/reset",
        "",
        {"user_id": st.integers(1, 9), "password_reset_token": MAILED, "password": PASSWORD},
    ),
    "show_account": ("GET", "/account", "", {}),
    "update_account": (
        "PUT",
        "/account",
        "account",
        {"email": EMAIL, "password": PASSWORD, "current_password": PASSWORD, **EXTRA},
    ),
    "delete_account": ("DELETE", "/account", "", {"password": PASSWORD}),
}


class Fuzzed:
    """A service under fire, with a user who is logged in again whenever that is over."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._token = ""
        self._users = 0

    async def login(self) -> list[tuple[bytes, bytes]]:
        """The header that it needs."""
        if not await self.service.is_good(self._token):
            self._users += 1
            user = {"username": f"fuzzer{self._users}", "password": "secret", "name": "Ada"}
            answer = await self.service.call("POST", "/api/users", {"user": user})
            assert answer.json() == "ok", answer.text
            answer = await self.service.call("POST", "/api/sessions", user)
            self._token = answer.json()["token"]
        return [(b"authorization", f"Bearer {self._token}".encode())]

    async def ask(self, method: str, path: str, **options: Any) -> None:
        """Asks, and checks the answer."""
        answer = await ask(self.service.app, method, path, **options)
        body = b"".join(options.get("chunks") or [b""])
        check(self.service, answer, method, path, body)


@pytest.fixture
async def fuzzed(start_service: ServiceFactory) -> AsyncIterator[Fuzzed]:
    """After the fire the service works, and the database holds nothing half done."""
    service = await start_service(users=RICH, user_fields=RICH_FIELDS, mail_cooldown=None)
    yield Fuzzed(service)
    await still_works(service)
    await nothing_is_half_done(service)


async def still_works(service: Service) -> None:
    """Sign-up, mail, confirmation and login, on each connection there is."""

    async def flow(number: int) -> None:
        email = f"after{number}@example.org"
        await service.sign_up(email, name="Ada")
        assert (await service.confirm(email)).status_code == 200
        assert (await service.log_in(email)).status_code == 200

    await asyncio.gather(*(flow(number) for number in range(10)))


async def nothing_is_half_done(service: Service) -> None:
    """A user, the token and the mail come together; what is read is what was written."""
    auth = service.auth
    tokens, outbox = (auth.metadata.tables[name] for name in ("tokens", "outbox"))

    async def rows(table: sa.Table) -> list[dict[str, Any]]:
        found = await auth._database.read(lambda session: session.all(sa.select(table)))
        return [dict(row._mapping) for row in found]

    users = {user["id"]: user for user in await rows(auth.users)}
    waiting = {user["id"] for user in users.values() if user["confirmed_at"] is None}
    to_confirm = [row for row in await rows(tokens) if row["purpose"] == "confirmation"]
    mails = [row["recipient"] for row in await rows(outbox) if row["kind"] == "confirmation"]
    assert {row["user_id"] for row in await rows(tokens)} <= users.keys()
    assert {row["user_id"] for row in to_confirm} >= waiting
    assert len({row["user_id"] for row in to_confirm}) == len(to_confirm)
    assert {row["sent_to"] for row in to_confirm} <= set(mails)
    for user in users.values():
        assert user["hashed_password"].startswith("$")
        assert user["email"] or user["username"]
        assert user["id"] not in waiting or user["email"]


@pytest.mark.parametrize("name", ENDPOINTS)
@FUZZED
@given(data=st.data(), logged_in=st.sampled_from([True, True, False]))
async def test_any_body(fuzzed: Fuzzed, name: str, data: st.DataObject, logged_in: bool) -> None:
    """JSON of any shape in and around the expected, for each endpoint."""
    method, path, within, fields = ENDPOINTS[name]
    body = data.draw(body_of(data.draw(around(fields, within))))
    headers = [JSON_TYPE, *(await fuzzed.login() if logged_in else [])]
    filled = path.replace("{}", data.draw(IDS)) if "{}" in path else path
    await fuzzed.ask(method, "/api" + filled, headers=headers, chunks=[body])


@FUZZED
@given(
    endpoint=st.sampled_from(list(ENDPOINTS.values())),
    body=st.binary(max_size=200) | st.sampled_from(RAW_BODIES),
    content_type=st.just(JSON_TYPE[1]) | st.binary(max_size=40) | st.sampled_from(CONTENT_TYPES),
    cut=st.integers(0, 50),
)
async def test_any_bytes(
    fuzzed: Fuzzed, endpoint: tuple[Any, ...], body: bytes, content_type: bytes, cut: int
) -> None:
    """What is no JSON, of any content type, in pieces."""
    method, path, *_ = endpoint
    headers = [(b"content-type", content_type), *(await fuzzed.login())]
    chunks = [body[:cut], body[cut:]]
    await fuzzed.ask(method, "/api" + path.replace("{}", "1"), headers=headers, chunks=chunks)


GRANT: dict[str, st.SearchStrategy[Any]] = {
    "grant_type": st.just("password"),
    "username": USERNAME | EMAIL,
    "password": PASSWORD,
}


@FUZZED
@given(
    fields=st.fixed_dictionaries({name: good | ANY_TEXT for name, good in GRANT.items()})
    | st.dictionaries(ANY_TEXT | st.sampled_from([*GRANT, "scope", "client_id"]), ANY_TEXT),
    twice=st.booleans(),
    garbled=st.sampled_from([b"", b"", b"&", b"%", b"%ff=%zz", b"&a;b", b"\xff", b"=" * 40]),
    headers=st.lists(
        st.tuples(
            st.sampled_from([b"origin", b"sec-fetch-site", b"host", b"authorization"]),
            st.sampled_from([b"null", b"same-origin", b"http://[", b"Basic ####"])
            | st.binary(max_size=20),
        ),
        max_size=2,
    ),
)
async def test_any_form(
    fuzzed: Fuzzed,
    fields: dict[str, str],
    twice: bool,
    garbled: bytes,
    headers: list[tuple[bytes, bytes]],
) -> None:
    """In and around what OAuth 2 clients send, from wherever."""
    encoded = {name: it.encode("utf-8", "surrogatepass") for name, it in fields.items()}
    names = {name: name.encode("utf-8", "surrogatepass") for name in fields}
    pairs = [(names[name], it) for name, it in encoded.items()]
    body = urlencode(pairs * (1 + twice)).encode() + garbled
    form = (b"content-type", b"application/x-www-form-urlencoded")
    await fuzzed.ask("POST", "/api/token", headers=[form, *headers], chunks=[body])


HEADER_VALUES = st.binary(max_size=60) | st.sampled_from(
    [b"x" * 8000, b"Mozilla/5.0\0", "Mözilla".encode("latin-1"), "\U0001f600".encode(), b"\x1b[31m"]
)
HEADER_NAMES = st.sampled_from(
    [b"user-agent", b"accept-language", b"x-forwarded-for", b"host", b"content-length", b"cookie"]
)


@FUZZED
@given(
    headers=st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=5),
    client=st.none() | st.tuples(ANY_TEXT, st.integers(0, 65535)),
)
async def test_any_header(fuzzed: Fuzzed, headers: list[tuple[bytes, bytes]], client: Any) -> None:
    """From where and from what a login comes: no login fails by that, and it is shown."""
    user = b'{"username": "fuzzer1", "password": "secret"}'
    login, app = await fuzzed.login(), fuzzed.service.app
    given_headers = [JSON_TYPE, *headers]

    answer = await ask(
        app, "POST", "/api/sessions", headers=given_headers, chunks=[user], client=client
    )

    assert answer.status == 200
    check(fuzzed.service, answer, "POST", "/api/sessions", user)
    await fuzzed.ask("GET", "/api/sessions", headers=[*headers, *login], client=client)


@FUZZED
@given(
    headers=st.lists(
        st.tuples(
            st.just(b"authorization"),
            st.binary(max_size=60)
            | st.binary(max_size=40).map(b"Bearer ".__add__)
            | st.sampled_from(
                [b"Bearer", b"bearer \xff", b"Bearer a b", b"Basic eDp5", b"x" * 9000]
            ),
        ),
        max_size=3,
    )
)
async def test_any_authorization(fuzzed: Fuzzed, headers: list[tuple[bytes, bytes]]) -> None:
    """No bytes but a token's open anything."""
    for method, path in (("GET", "/account"), ("DELETE", "/sessions"), ("GET", "/messages")):
        answer = await ask(fuzzed.service.app, method, "/api" + path, headers=headers)
        assert answer.status in (400, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer ")
        check(fuzzed.service, answer, method, "/api" + path)


@FUZZED
@given(
    query=st.binary(max_size=60)
    | ANY_TEXT.map(lambda text: b"scope=" + text.encode("utf-8", "surrogatepass"))
)
async def test_any_query(fuzzed: Fuzzed, query: bytes) -> None:
    """After the question mark stands anything."""
    for method, path in (("DELETE", "/sessions"), ("GET", "/account"), ("GET", "/docs")):
        await fuzzed.ask(method, "/api" + path, query=query, headers=await fuzzed.login())


METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY", "get"]
PIECES = ["users", "sessions", "session", "account", "confirm", "1", "openapi.json", "docs", "{id}"]
PIECES += ["/", "//", "..", ".", ";", "%2f", "%00", "%ff", "\\", "\u202e", " ", "~", "*", "?"]


@FUZZED
@given(
    path=st.lists(st.sampled_from(PIECES) | ANY_TEXT, max_size=6).map("/".join).map(decoded),
    method=st.sampled_from(
        ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"]
    ),
    root=st.sampled_from(["", "/v1"]),
)
async def test_any_path(fuzzed: Fuzzed, path: str, method: str, root: str) -> None:
    """The sub-app by itself knows a path or answers 404, in JSON."""
    answer = await ask(
        fuzzed.service.auth.app,
        method,
        f"{root}/{path}",
        root=root,
        headers=[JSON_TYPE, *(await fuzzed.login())],
        chunks=[b"{}"],
    )

    check(fuzzed.service, answer, method, f"/api/{path}", b"{}")


@contextlib.asynccontextmanager
async def served(service: Service) -> AsyncIterator[str]:
    """The service behind a real server; where its endpoints are."""
    config = uvicorn.Config(service.app, lifespan="off", ws="none", log_level="critical")
    server = uvicorn.Server(config)
    # asyncio sets TCP_NODELAY on what says that it is TCP; without it, an answer takes 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve([listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/api"
        server.should_exit = True
        await serving


async def schemathesis(url: str, cwd: Path, *options: str) -> tuple[int, str]:
    """Its exit code, and what it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "schemathesis.cli"),
        *("--config-file", str(TESTS / "schemathesis.toml")),
        *("run", f"{url}/openapi.json", "--url", url, "--checks", "all", "--continue-on-failure"),
        *("--no-color", "--warnings", "off", "--request-timeout", "30", *options),
        cwd=cwd,
        env={
            **os.environ,
            "SERVICE_URL": url,
            "SCHEMATHESIS_HOOKS": "fuzzing_client",
            "PYTHONPATH": str(TESTS),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_the_served_document_by_schemathesis(fuzzed: Fuzzed, tmp_path: Path) -> None:
    """All its checks: each answer as described, what is forbidden refused, no token no answer,
    other methods 405, and links that lead on."""
    paths = (await fuzzed.service.call("GET", "/api/openapi.json")).json()["paths"].values()
    fixed = () if EXAMPLES else ("--generation-deterministic", "--seed", "1")
    async with served(fuzzed.service) as url:
        code, said = await schemathesis(url, tmp_path, "--max-examples", str(EXAMPLES or 5), *fixed)

    assert code == 0, said
    assert f"Tested: {sum(map(len, paths)) - 1}" in said, said  # all but the document's own
