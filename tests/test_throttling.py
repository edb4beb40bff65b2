"""Attempts are limited by address and by account; owners get through, and so does Redis's end."""

import asyncio
import re
import subprocess
import sys
import traceback
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import Service, ServiceFactory, running_service
from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, Uuid

from asgi_token_auth import Limits, SettingsError, Throttled, TokenAuth, UnknownCredentials
from asgi_token_auth.clock import utc_now
from asgi_token_auth.testing import Mailbox, settings
from asgi_token_auth.throttling import Throttle, shared

ADA = "ada@example.com"
SECRET = "A" * 43
NO_LIMITS = dict.fromkeys(Limits.names())
STRANGER = "203.0.113.9"


def only(**limits: str) -> Limits:
    """No limits but these."""
    return Limits(**{**NO_LIMITS, **limits})


def log_in(account: str) -> tuple[str, Any]:
    return "/api/sessions", {"email": account, "password": "wrong!"}


def sign_up(account: str) -> tuple[str, Any]:
    return "/api/users", {"user": {"email": account, "password": "secret"}}


def request_password_reset(account: str) -> tuple[str, Any]:
    return "/api/password_resets", {"email": account}


def reset_password(account: str) -> tuple[str, Any]:
    fields = {"user_id": account, "password_reset_token": SECRET, "password": "secret"}
    return "/api/password_resets/reset", fields


def resend_confirmation(account: str) -> tuple[str, Any]:
    return "/api/confirmations", {"email": account}


def confirm(account: str) -> tuple[str, Any]:
    return f"/api/users/{account}/confirm", {"confirmation_token": SECRET}


Attempt = Callable[[str], tuple[str, Any]]
BY_EMAIL = (log_in, sign_up, request_password_reset, resend_confirmation)
BY_ID = (reset_password, confirm)
ATTEMPTS = [
    *((attempt, [ADA, "nobody@example.com"]) for attempt in BY_EMAIL),
    *((attempt, ["1", "999"]) for attempt in BY_ID),
]
EVERY_ACTION = pytest.mark.parametrize("attempt", [*BY_EMAIL, *BY_ID], ids=lambda a: a.__name__)


async def post(service: Service, attempt: tuple[str, Any], token: str = "", **headers: str) -> Any:
    path, body = attempt
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return await service.client.post(path, json=body, headers=headers)


async def use_up(service: Service, attempt: tuple[str, Any], times: int = 3) -> None:
    """Strangers use all attempts up."""
    service.come_from(STRANGER)
    for _ in range(times):
        assert (await post(service, attempt)).status_code != 429
    assert (await post(service, attempt)).status_code == 429


@pytest.mark.parametrize(("attempt", "accounts"), ATTEMPTS, ids=[a.__name__ for a, _ in ATTEMPTS])
async def test_an_account_is_limited_from_however_many_addresses(
    sqlite_url: str, attempt: Attempt, accounts: list[str]
) -> None:
    """Known or unknown, alike; another account is not touched; time gives attempts back."""
    limits = only(**{f"{attempt.__name__}_by_account": "3/minute"})
    async with running_service(sqlite_url) as quiet:
        await quiet.new_user(ADA)
    answers = []
    async with running_service(sqlite_url, limits=limits) as service:
        for account in accounts:
            statuses = []
            for number in range(5):
                service.come_from(f"198.51.100.{number}")
                response = await post(service, attempt(account))
                statuses.append(response.status_code)
            answers.append((statuses[3:], response.json(), response.headers["retry-after"]))
            assert 429 not in statuses[:3]
        other = "77" if attempt in BY_ID else "eve@example.com"
        assert (await post(service, attempt(other))).status_code in (200, 401, 422)
        service.clock.forward(timedelta(seconds=int(response.headers["retry-after"])))
        assert (await post(service, attempt(account))).status_code != 429

    message = {"errors": {"base": "Too many attempts, please try again later"}}
    assert answers == [([429, 429], message, "61")] * len(accounts)


async def test_an_account_is_limited_in_however_many_spellings(database_url: str) -> None:
    """An application's own table may have MySQL's usual collation, for which these are one name."""
    users = Table(
        "users",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("username", String(64), unique=True),
        Column("hashed_password", String(255), nullable=False),
        Column("confirmed_at", BigInteger),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_general_ci",
    )
    limits = only(log_in_by_account="3/minute")
    async with running_service(database_url, users=users, limits=limits) as service:
        user = {"username": "ada", "password": "secret"}
        assert (await service.call("POST", "/api/users", {"user": user})).status_code == 200
        statuses = []
        for name in ("ada", "ADA", "Ád\u0101", "aDa", "\uff21d\u00e0"):
            body = {"username": name, "password": "wrong!"}
            statuses.append((await service.call("POST", "/api/sessions", body)).status_code)

    assert statuses == [401, 401, 401, 429, 429]


@EVERY_ACTION
async def test_an_address_is_limited_for_however_many_accounts(
    sqlite_url: str, attempt: Attempt
) -> None:
    """Trying one password on many accounts is guessing too."""
    limits = only(**{f"{attempt.__name__}_by_address": "3/minute"})
    async with running_service(sqlite_url, limits=limits) as service:
        domain = "" if attempt in BY_ID else "@example.com"
        accounts = [f"{number}{domain}" for number in range(1, 6)]
        answers = [await post(service, attempt(account)) for account in accounts]
        service.come_from("198.51.100.1")
        elsewhere = await post(service, attempt(accounts[4]))

    assert [answer.status_code == 429 for answer in answers] == [False] * 3 + [True] * 2
    assert int(answers[4].headers["retry-after"]) >= 1
    assert answers[4].headers["cache-control"] == "no-store"
    assert elsewhere.status_code != 429


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_present_passwords_are_limited_by_session_and_address(
    sqlite_url: str, method: str
) -> None:
    """Who holds a stolen token can't guess on; the owner's other sessions are not locked."""
    limits = only(current_password_by_session="2/minute", current_password_by_address="5/minute")
    options = {"limits": limits, "recent_login": timedelta(microseconds=1)}
    async with running_service(sqlite_url, **options) as service:
        stolen = (await service.new_user(ADA))["token"]
        own = (await service.log_in(ADA)).json()["token"]
        service.clock.forward(timedelta(seconds=1))

        async def prove(token: str, password: str) -> int:
            fields = {"current_password": password, "password": "another"}
            body = {"account": fields} if method == "PUT" else fields
            return (await service.call(method, "/api/account", body, token)).status_code

        assert [await prove(stolen, "wrong!") for _ in range(4)] == [422, 422, 429, 429]
        service.come_from(STRANGER)
        assert await prove(stolen, "secret") == 429
        assert [await prove(own, "wrong!") for _ in range(3)] == [422, 422, 429]
        third = (await service.log_in(ADA)).json()["token"]
        service.clock.forward(timedelta(seconds=1))
        assert await prove(third, "wrong!") == 422
        assert await prove(third, "secret") == 429  # the sixth from this address


async def test_new_addresses_are_limited_by_account(sqlite_url: str) -> None:
    """Each is mailed to, and is whoever's the user likes; another field costs nothing."""
    async with running_service(
        sqlite_url, limits=only(change_email_by_account="2/hour")
    ) as service:
        token = (await service.new_user(ADA))["token"]

        async def change(**fields: str) -> int:
            answer = await service.call("PUT", "/api/account", {"account": fields}, token)
            return int(answer.status_code)

        assert [await change(email=f"{name}@example.com") for name in "abc"] == [200, 200, 429]
        assert await change(username="ada") == 200
        assert await service.mailbox.receive("b@example.com")


async def test_bad_form_uses_nothing_up(sqlite_url: str) -> None:
    """It costs no hash, no mail and no guess, and others are behind the same address."""
    limits = only(log_in_by_address="2/minute", confirm_by_address="2/minute")
    async with running_service(sqlite_url, limits=limits) as service:
        for body in (None, [], {}, {"email": ADA}, {"email": ADA, "password": "x" * 2000}):
            response = await service.call("POST", "/api/sessions", body)
            assert response.status_code in (400, 415, 422)
            response = await service.call("POST", "/api/users/1/confirm", body)
            assert response.status_code in (400, 415, 422)

        assert (await post(service, log_in(ADA))).status_code == 401


async def test_the_applications_validator_is_not_at_anybodys_service(sqlite_url: str) -> None:
    """It may ask a database or another service: a sign-up counts, whatever is wrong with it."""
    seen: list[object] = []
    options = {"limits": only(sign_up_by_address="3/minute"), "user_validator": seen.append}
    async with running_service(sqlite_url, **options) as service:
        short = "/api/users", {"user": {"email": ADA, "password": "short"}}
        statuses = [(await post(service, short)).status_code for _ in range(5)]

    assert statuses == [422] * 3 + [429] * 2
    assert len(seen) == 3


@pytest.mark.parametrize("key", [Uuid(), String(36)], ids=["uuid", "text"])
async def test_a_known_token_passes_whatever_the_users_key_is(sqlite_url: str, key: Any) -> None:
    """A JWT names its user as text."""
    columns = (
        Column("email", String(320), unique=True),
        Column("hashed_password", String(255), nullable=False),
        Column("confirmed_at", BigInteger),
    )
    users = Table("users", MetaData(), Column("id", key, primary_key=True), *columns)
    limits = only(log_in_by_account="3/minute")
    async with running_service(sqlite_url, limits=limits, users=users) as service:
        token = (await service.new_user(ADA))["token"]
        await use_up(service, log_in(ADA))
        await use_up(service, log_in("nobody@example.com"))
        right = log_in(ADA)[0], {"email": ADA, "password": "secret"}

        assert [(await post(service, right, each)).status_code for each in ("", token)] == [
            429,
            200,
        ]


async def test_parallel_guesses_are_no_more_than_the_limit(sqlite_url: str) -> None:
    """Counted before the hash, and with nothing between reading the counter and writing it."""
    async with running_service(sqlite_url, limits=only(log_in_by_account="5/minute")) as service:
        guesses = [post(service, log_in(ADA)) for _ in range(100)]
        statuses = [answer.status_code for answer in await asyncio.gather(*guesses)]

    assert (statuses.count(401), statuses.count(429)) == (5, 95)


async def test_logins_that_succeed_use_nothing_up(start_service: ServiceFactory) -> None:
    """Whoever logs in again and again was not guessing, also not with a known device."""
    service = await start_service(
        limits=only(log_in_by_account="3/hour", log_in_by_device="3/hour")
    )
    await service.new_user(ADA)

    assert {(await service.log_in(ADA)).status_code for _ in range(10)} == {200}
    wrong = [(await post(service, log_in(ADA))).status_code for _ in range(3)]
    assert {(await service.log_in(ADA)).status_code for _ in range(10)} == {200}  # same network
    service.come_from(STRANGER)
    assert [*wrong, (await service.log_in(ADA)).status_code] == [401, 401, 401, 429]


async def test_this_machine_is_no_address_that_is_counted(sqlite_url: str) -> None:
    """Behind a proxy on it that nobody named, one stranger could else keep everyone out."""
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        limits = only(log_in_by_address="1/minute")
        async with running_service(sqlite_url, limits=limits) as service:
            service.come_from(address)
            assert {(await post(service, log_in(ADA))).status_code for _ in range(5)} == {401}


async def test_a_success_clears_nothing_else(sqlite_url: str) -> None:
    """Else one own account would give any number of guesses at all others."""
    limits = only(log_in_by_address="3/minute", log_in_by_account="9/minute")
    async with running_service(sqlite_url, limits=limits) as service:
        await service.new_user("eve@example.com")
        statuses = [
            (await post(service, log_in(ADA))).status_code,
            (await service.log_in("eve@example.com")).status_code,
            (await post(service, log_in(ADA))).status_code,
            (await post(service, log_in(ADA))).status_code,
        ]

    assert statuses == [401, 200, 401, 429]


async def test_a_known_token_passes_where_strangers_used_the_account_up(
    start_service: ServiceFactory,
) -> None:
    """Live, expired or revoked: it was signed for this user. It is limited by itself."""
    limits = only(log_in_by_account="3/minute", log_in_by_device="2/minute")
    service = await start_service(limits=limits)
    revoked = (await service.new_user(ADA))["token"]
    assert (await service.call("DELETE", "/api/sessions", token=revoked)).status_code == 200
    eves = (await service.new_user("eve@example.com"))["token"]
    expired = (await service.log_in(ADA)).json()["token"]
    service.clock.forward(timedelta(days=30))
    live = (await service.log_in(ADA)).json()["token"]
    await service.call("DELETE", "/api/sessions?scope=all", token=live)  # no known network
    good = log_in(ADA)[0], {"email": ADA, "password": "secret"}
    service.clock.forward(timedelta(minutes=2))

    await use_up(service, log_in(ADA))

    for stranger in ("", eves, live[:-8] + "A" * 8, "nonsense", "a b", "\x7f"):
        assert (await post(service, good, stranger)).status_code == 429
    for token in (revoked, expired, live):
        tried = (good, log_in(ADA), log_in(ADA), good)
        statuses = [(await post(service, each, token)).status_code for each in tried]
        assert statuses == [200, 401, 401, 429]
        service.come_from("198.51.100.99")


async def test_a_known_network_passes_where_strangers_used_the_account_up(
    start_service: ServiceFactory,
) -> None:
    """Where the user is logged in, the user is; IPv6 by the 64 bits that one customer has."""
    limits = only(log_in_by_account="3/minute", log_in_by_device="2/minute")
    service = await start_service(limits=limits)
    service.come_from("2001:db8:1:2::1")
    await service.new_user(ADA)

    await use_up(service, log_in(ADA))
    await use_up(service, log_in("nobody@example.com"))

    service.come_from("2001:db8:1:3::1")
    assert (await service.log_in(ADA)).status_code == 429
    service.come_from("2001:db8:1:2:ffff::9")
    passwords = ("secret", "wrong!", "wrong!", "secret")
    statuses = [(await service.log_in(ADA, password)).status_code for password in passwords]
    assert statuses == [200, 401, 401, 429]
    service.clock.forward(timedelta(days=8))  # nobody is logged in there any more
    await use_up(service, log_in(ADA))
    service.come_from("2001:db8:1:2::1")
    assert (await service.log_in(ADA)).status_code == 429


@pytest.mark.parametrize("attempt", [log_in, request_password_reset])
async def test_a_network_does_not_tell_whose_users_are_logged_in_there(
    sqlite_url: str, attempt: Attempt
) -> None:
    """Where nobody is to learn who has an account, a neighbour must not see it by the limit."""
    limits = only(log_in_by_account="2/minute", request_password_reset_by_account="2/minute")
    async with running_service(sqlite_url, limits=limits, disclose_accounts="never") as service:
        await service.new_user(ADA)

        known = [(await post(service, attempt(ADA))).status_code for _ in range(4)]
        nobody = "nobody@example.com"
        unknown = [(await post(service, attempt(nobody))).status_code for _ in range(4)]

    assert known == unknown
    assert known[2:] == [429, 429]


async def test_a_known_token_passes_where_its_own_address_is_used_up(sqlite_url: str) -> None:
    """A stranger behind the same address can't lock the owner out either; the network alone,
    which is the stranger's too, is no device."""
    limits = only(log_in_by_address="3/minute", log_in_by_device="1/minute")
    async with running_service(sqlite_url, limits=limits) as service:
        service.come_from(STRANGER)
        eves = (await service.new_user("eve@example.com"))["token"]
        token = (await service.new_user(ADA))["token"]
        await use_up(service, log_in("nobody@example.com"))
        right = log_in(ADA)[0], {"email": ADA, "password": "secret"}

        tried = ((right, ""), (right, eves), (right, token), (log_in(ADA), token), (right, token))
        statuses = [(await post(service, *each)).status_code for each in tried]

    assert statuses == [429, 429, 200, 401, 429]


async def test_a_reset_is_mailed_to_a_known_device_too(sqlite_url: str) -> None:
    """Who is logged in elsewhere, and forgot the password."""
    limits = only(
        request_password_reset_by_account="1/minute", request_password_reset_by_device="1/minute"
    )
    async with running_service(sqlite_url, limits=limits) as service:
        token = (await service.new_user(ADA))["token"]
        await use_up(service, request_password_reset(ADA), times=1)

        statuses = [
            (await post(service, request_password_reset(ADA), each)).status_code
            for each in ("", token, token)
        ]

    assert statuses == [429, 200, 429]


async def test_a_right_mailed_token_always_passes(sqlite_url: str) -> None:
    """Strangers with wrong ones keep nobody from confirming or choosing a new password."""
    limits = only(confirm_by_account="3/minute", reset_password_by_account="3/minute")
    async with running_service(sqlite_url, limits=limits) as service:
        await service.sign_up(ADA)
        await use_up(service, confirm("1"))
        assert (await service.confirm(ADA)).status_code == 200
        await service.call("POST", "/api/password_resets", {"email": ADA})
        await use_up(service, reset_password("1"))
        path, fields = reset_password("1")
        fields["password_reset_token"] = await service.mailbox.token(ADA)
        assert (await post(service, (path, fields))).status_code == 200


async def test_scripts_are_limited_by_account_only(sqlite_url: str) -> None:
    """A script has no address; the error says when to try again."""
    limits = only(log_in_by_account="1/minute", log_in_by_address="1/minute")
    async with running_service(sqlite_url, limits=limits) as service:
        for name in ("ada", "eve"):
            await service.auth.accounts.sign_up(username=name, password="secret")
            await service.auth.accounts.log_in(username=name, password="secret")
        with pytest.raises(UnknownCredentials):
            await service.auth.accounts.log_in(username="ada", password="wrong!")

        with pytest.raises(Throttled) as refused:
            await service.auth.accounts.log_in(username="ada", password="secret")

    assert refused.value.retry_after == 61


async def test_an_untrusted_peer_can_not_choose_its_address(sqlite_url: str) -> None:
    """A header that anybody can send is no address."""
    async with running_service(sqlite_url, limits=only(log_in_by_address="3/minute")) as service:
        answers = [
            await post(service, log_in(ADA), **{"X-Forwarded-For": f"198.51.100.{number}"})
            for number in range(4)
        ]

    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]


async def test_a_trusted_proxy_says_who_its_client_is(sqlite_url: str) -> None:
    """Its clients are counted, not it; what they say themselves of who they are is not believed."""
    limits = only(log_in_by_address="3/minute")
    options = {"limits": limits, "trusted_proxies": ["10.0.0.0/8"]}
    async with running_service(sqlite_url, **options) as service:
        service.come_from("10.0.0.1")
        statuses = []
        for client in ("192.0.2.1", "192.0.2.2"):
            for number in range(4):
                forwarded = {"X-Forwarded-For": f"198.51.100.{number}, {client}, 10.9.9.9"}
                statuses.append((await post(service, log_in(ADA), **forwarded)).status_code)
        token = (await service.new_user(ADA))["token"]
        sessions = (await service.call("GET", "/api/sessions", token=token)).json()["sessions"]

    assert statuses == [401, 401, 401, 429] * 2
    assert sessions[0]["address"] == "10.0.0.1"


async def test_the_addresses_of_one_ipv6_customer_are_one(sqlite_url: str) -> None:
    """A customer has 2 to the 64 of them."""
    async with running_service(sqlite_url, limits=only(log_in_by_address="3/minute")) as service:
        statuses = []
        for number in range(20):
            service.come_from(f"2001:db8:0:1::{number:x}")
            statuses.append((await post(service, log_in(ADA))).status_code)
        service.come_from("::ffff:192.0.2.1")
        mapped = [(await post(service, log_in(ADA))).status_code for _ in range(3)]
        service.come_from("192.0.2.1")
        plain = (await post(service, log_in(ADA))).status_code

    assert statuses == [401] * 3 + [429] * 17
    assert (mapped, plain) == ([401] * 3, 429)


@pytest.mark.parametrize(("chosen", "refused"), [({"limits": Limits()}, 2), ({}, 0)])
async def test_limits_hold_unless_tests_switch_them_off(
    sqlite_url: str, chosen: dict[str, Limits], refused: int
) -> None:
    """Integrators' tests sign up many users in a minute; nobody else does."""
    async with running_service(sqlite_url, **chosen) as service:
        accounts = [f"user{number}@example.com" for number in range(12)]
        statuses = [(await post(service, sign_up(account))).status_code for account in accounts]

    assert (statuses.count(200), statuses.count(429)) == (12 - refused, refused)


def test_every_unreadable_limit_is_named() -> None:
    """All at once, at construction."""
    with pytest.raises(SettingsError) as refused:
        Limits(log_in_by_account="often", sign_up_by_address="0/minute", confirm_by_address=7)  # type: ignore[arg-type]

    assert [fault.split()[0] for fault in refused.value.faults] == [
        "limits.log_in_by_account",
        "limits.sign_up_by_address",
        "limits.confirm_by_address",
    ]


def test_the_documented_limits_are_the_defaults() -> None:
    """Both ways: a row for each action, and in it what `Limits()` has."""
    page = (Path(__file__).parent.parent / "docs/throttling.md").read_text()
    rows = [row.strip("| ").split("|") for row in page.splitlines() if row.startswith("| `")]
    documented = set()
    for name, *cells in rows:
        action = name.split("`")[1]
        found = [re.sub(r"`\w+`: |, wrong.*", "", cell.strip()) for cell in cells]
        who = ["by_address", "by_session" if action == "current_password" else "by_account"]
        documented |= set(
            zip([f"{action}_{by}" for by in [*who, "by_device"]], found, strict=False)
        )

    expected = {(name, getattr(Limits(), name)) for name in Limits.names()}
    assert {(name, limit) for name, limit in documented if limit} == expected


def test_a_password_in_the_url_of_redis_is_in_no_error() -> None:
    """Settings errors end up in logs."""
    url = "redis://:geheim@127.0.0.1:6379/0?socket_timeout=soon"
    options = {**settings(Mailbox()), "throttle_storage": url}

    with pytest.raises(SettingsError) as refused:
        TokenAuth(database="sqlite:///x.db", **options)

    assert "geheim" not in "".join(traceback.format_exception(refused.value))


def test_limits_from_the_environment() -> None:
    """A JSON object changes some; off is off; a name that is none is refused."""
    given = {
        "TOKEN_AUTH_DATABASE": "sqlite:///x.db",
        "TOKEN_AUTH_SECRET_KEY": "k" * 40,
        "TOKEN_AUTH_EMAIL_SENDER": "app@example.com",
        "TOKEN_AUTH_TRUSTED_PROXIES": "10.0.0.0/8, unix",
    }

    def read(limits: str) -> TokenAuth:
        return TokenAuth.from_env({**given, "TOKEN_AUTH_LIMITS": limits})

    changed = read('{"log_in_by_account": "1/second", "sign_up_by_account": null}').settings
    assert changed.limits == Limits(log_in_by_account="1/second", sign_up_by_account=None)
    assert changed.trusted_proxies == ("10.0.0.0/8", "unix")
    assert read("off").settings.limits is None
    for wrong in ('{"nonesuch": "1/second"}', '{"log_in_by_account": "often"}', "10/minute"):
        with pytest.raises(SettingsError, match="LIMITS"):
            read(wrong)


ELSEWHERE = """
import asyncio, sys
from asgi_token_auth import Limits, TokenAuth, UnknownCredentials
from asgi_token_auth.testing import Mailbox, settings
from test_throttling import only

async def main(database, storage, secret_key):
    chosen = {"secret_key": secret_key, "throttle_storage": storage or None,
              "limits": only(log_in_by_account="3/minute")}
    async with TokenAuth(database=database, **{**settings(Mailbox()), **chosen}) as auth:
        for _ in range(2):
            try:
                await auth.accounts.log_in(email="ada@example.com", password="wrong!")
            except UnknownCredentials:
                print("counted")

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def patient_with_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no Redis that does not answer: attempts would count in memory meanwhile."""
    monkeypatch.setattr(shared, "TIMEOUT_SECONDS", 20.0)


@pytest.mark.usefixtures("patient_with_redis")
@pytest.mark.parametrize(("shared", "left"), [(True, 1), (False, 3)])
async def test_processes_count_together_in_redis_and_apart_in_memory(
    sqlite_url: str, redis_url: str, shared: bool, left: int
) -> None:
    """Two processes on one Redis have one counter; without, each has its own."""
    storage, key = redis_url if shared else "", uuid.uuid4().hex
    options = {"limits": only(log_in_by_account="3/minute"), "secret_key": key}
    async with running_service(sqlite_url, **options, throttle_storage=storage or None) as service:
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ELSEWHERE, sqlite_url, storage, key,
            cwd="tests", stdout=subprocess.PIPE,
        )  # fmt: skip
        assert (await other.communicate())[0].split() == [b"counted"] * 2
        answers = [await post(service, log_in(ADA)) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [401] * left + [429] * (5 - left)
    assert 1 <= int(answers[4].headers["retry-after"]) <= 61


@pytest.mark.usefixtures("patient_with_redis")
async def test_parallel_guesses_are_no_more_than_the_limit_in_redis(
    sqlite_url: str, redis_url: str
) -> None:
    """A script in Redis reads the counter and writes it."""
    options = {"throttle_storage": redis_url, "secret_key": uuid.uuid4().hex}
    limits = only(log_in_by_account="5/minute")
    async with running_service(sqlite_url, limits=limits, **options) as service:
        guesses = [post(service, log_in(ADA)) for _ in range(30)]
        statuses = [answer.status_code for answer in await asyncio.gather(*guesses)]

    assert (statuses.count(401), statuses.count(429)) == (5, 25)


@pytest.mark.usefixtures("patient_with_redis")
async def test_logins_that_succeed_use_nothing_up_in_redis(sqlite_url: str, redis_url: str) -> None:
    """As in memory."""
    options = {"throttle_storage": redis_url, "secret_key": uuid.uuid4().hex}
    limits = only(log_in_by_account="3/minute")
    async with running_service(sqlite_url, limits=limits, **options) as service:
        await service.new_user(ADA)
        assert {(await service.log_in(ADA)).status_code for _ in range(10)} == {200}
        service.come_from(STRANGER)
        wrong = [(await post(service, log_in(ADA))).status_code for _ in range(4)]

    assert wrong == [401, 401, 401, 429]


async def test_counters_move_to_another_event_loop(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Connections belong to the loop that made them: another one's would seem to be broken."""
    throttle = Throttle(only(confirm_by_account="1/minute"), redis_url, b"k", utc_now)
    first = throttle._shared._pool  # type: ignore[union-attr]
    name, who = "confirm_by_account", uuid.uuid4().hex
    await throttle.count(name, who)

    def elsewhere() -> None:
        async def count() -> None:
            with pytest.raises(Throttled):
                await throttle.count(name, who)
            await throttle.close()

        asyncio.run(count())

    await asyncio.to_thread(elsewhere)
    await first.aclose()
    assert not caplog.records


def test_one_throttle_in_two_event_loops(sqlite_url: str, redis_url: str) -> None:
    """Connections belong to the loop that made them; the counters in Redis go on."""
    limits, key = only(log_in_by_account="2/minute"), uuid.uuid4().hex
    chosen = {"limits": limits, "throttle_storage": redis_url, "secret_key": key}
    auth = TokenAuth(database=sqlite_url, **{**settings(Mailbox()), **chosen})

    async def guess() -> str:
        await auth.create_tables()
        try:
            await auth.accounts.log_in(email=ADA, password="wrong!")
        except Exception as error:
            return type(error).__name__
        finally:
            await auth.shutdown()
        return "logged in"

    assert [asyncio.run(guess()) for _ in range(3)] == [
        "UnknownCredentials",
        "UnknownCredentials",
        "Throttled",
    ]
