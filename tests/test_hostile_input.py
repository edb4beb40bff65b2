"""Whatever is sent, the answer is a clear 4xx, and nothing is lost."""

import json
from typing import Any

import pytest
from conftest import Service

ADA = "ada@example.com"
BODIES: dict[str, tuple[bytes, str, int]] = {
    "malformed": (b'{"user":', "application/json", 400),
    "empty": (b"", "application/json", 400),
    "no UTF-8": (b'{"user": "\xff"}', "application/json", 400),
    "deep": (b"[" * 15_000, "application/json", 400),
    "NaN": (b'{"user": NaN}', "application/json", 400),
    "long number": (b"9" * 10_000, "application/json", 400),
    "array": (b"[]", "application/json", 400),
    "text": (b'"x"', "application/json", 400),
    "null": (b"null", "application/json", 400),
    "huge": (b" " * 1_000_000, "application/json", 413),
    "form": (b"user=x", "application/x-www-form-urlencoded", 415),
    "no type": (b"{}", "", 415),
}
ENDPOINTS = [
    ("POST", "/api/users"),
    ("POST", "/api/users/1/confirm"),
    ("POST", "/api/confirmations"),
    ("POST", "/api/sessions"),
    ("POST", "/api/session"),
    ("POST", "/api/password_resets"),
    ("POST", "/api/password_resets/reset"),
    ("PUT", "/api/sessions/x"),
    ("PUT", "/api/account"),
    ("DELETE", "/api/account"),
]
VALUES: list[Any] = [
    "\0",
    "x\0@example.com",
    "\ud800",
    7,
    2**70,
    -1.5,
    True,
    [],
    ["x"],
    {},
    {"x": {"y": []}},
    "x" * 10_000,
    "' OR 1=1 --",
    "%s%(x)s",
    "a@example.com, b@example.com",
    "a@example.com\r\nBcc: b@example.com",
    "a@example.com\u2028",
    "Ada <a@example.com>",
    "a\uff20example.com",
    "\U0001f600" * 2000,
]


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
async def test_bad_bodies(service: Service, method: str, path: str) -> None:
    """Malformed 400, too large 413, another type 415, in the contract's shape."""
    token = (await service.new_user())["token"]
    for name, (body, content_type, expected) in BODIES.items():
        headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
        answer = await service.client.request(method, path, content=body, headers=headers)
        assert answer.status_code == expected, name
        assert list(answer.json()["errors"]) == ["base"], name


@pytest.mark.parametrize(
    ("method", "path", "good", "within"),
    [
        ("POST", "/api/users", {"email": "b@example.com", "password": "secret"}, "user"),
        ("POST", "/api/users", {"username": "bob", "password": "secret"}, "user"),
        ("POST", "/api/users/1/confirm", {"confirmation_token": "x", "session_name": "x"}, ""),
        ("POST", "/api/confirmations", {"email": "b@example.com"}, ""),
        (
            "POST",
            "/api/sessions",
            {"email": ADA, "password": "secret", "session_name": "x"},
            "",
        ),
        ("POST", "/api/sessions", {"username": "ada", "password": "secret"}, ""),
        ("POST", "/api/password_resets", {"email": "b@example.com"}, ""),
        (
            "POST",
            "/api/password_resets/reset",
            {"user_id": 1, "password_reset_token": "x", "password": "secret"},
            "",
        ),
        ("PUT", "/api/sessions/x", {"name": "x"}, "session"),
        ("PUT", "/api/account", {"email": "b@example.com", "username": "ada"}, "account"),
        ("DELETE", "/api/account", {"password": "wrong"}, ""),
    ],
)
async def test_bad_fields(
    service: Service, method: str, path: str, good: dict[str, Any], within: str
) -> None:
    """NUL, half characters, wrong types and lengths in each field: never a server error."""
    token = (await service.new_user())["token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    for field in good:
        for value in VALUES:
            fields = {**good, field: value}
            body = json.dumps({within: fields} if within else fields)
            answer = await service.client.request(method, path, content=body, headers=headers)
            assert answer.status_code < 500, (field, value)
            # A strange name may be one: the login is good, or there is no session to be named.
            fine = (200, 404) if field in ("session_name", "name") else ()
            refused = (401, 413, 422, *fine)
            assert answer.json() == "ok" or answer.status_code in refused, (field, value)
            if field in ("email", "username") and not isinstance(value, str):
                blank = path == "/api/account" and value in (None, "")
                assert answer.status_code == 422 or blank, (field, value)
    for value in (7, [], "x", None):
        body = json.dumps({within: value} if within else {})
        answer = await service.client.request(method, path, content=body, headers=headers)
        assert answer.status_code == 422 or answer.json() == "ok"
    assert await service.is_good(token)


@pytest.mark.parametrize(
    "user_id", [2**31, 2**63, -1, 0, "1 or 1", "1.5", "", True, "9" * 100, "\u0661", " 1", "%00"]
)
async def test_impossible_ids(service: Service, user_id: Any) -> None:
    """Answered as unknown ones, on each database."""
    body = {"user_id": user_id, "password_reset_token": "x", "password": "new secret"}
    answer = await service.call("POST", "/api/password_resets/reset", body)
    assert answer.status_code == 422
    if user_id != "":
        path = f"/api/users/{user_id}/confirm"
        answer = await service.call("POST", path, {"confirmation_token": "x"})
        assert answer.status_code == 422


async def test_impossible_sessions(service: Service) -> None:
    """404, whatever is asked for."""
    token = (await service.new_user())["token"]
    for name in ("x", "%00", "%ff", "x" * 5000, "1 or 1", "%F0%9F%98%80"):
        answer = await service.call("DELETE", f"/api/sessions/{name}", token=token)
        assert answer.status_code == 404
    answer = await service.call("DELETE", "/api/sessions?scope=nonsense", token=token)
    assert answer.status_code == 422
    assert await service.is_good(token)


async def test_what_is_not_the_clients_to_set_has_no_effect(service: Service) -> None:
    """Mass assignment."""
    await service.sign_up(ADA, id=77, confirmed_at=1, hashed_password="x", purpose="x")

    assert (await service.log_in()).status_code == 401
    assert (await service.confirm(ADA)).json()["id"] == 1


async def test_a_long_password_is_refused_before_it_is_hashed(service: Service) -> None:
    """At login too: hashing a megabyte is an attack."""
    user = {"email": ADA, "password": "x" * 1025}

    for path, body in (("/api/users", {"user": user}), ("/api/sessions", user)):
        answer = await service.call("POST", path, body)
        assert answer.json()["errors"] == {"password": "should be at most 1024 bytes"}
