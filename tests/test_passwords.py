"""Hashing: off the event loop, bounded, and upgraded at login."""

import asyncio
import threading
from typing import Any

import pytest
from conftest import ServiceFactory, running_service
from passlib.context import CryptContext

from asgi_token_auth import SettingsError, TokenAuth
from asgi_token_auth.passwords import PasswordHasher, cheapest_context, recommended_context
from asgi_token_auth.testing import Mailbox
from asgi_token_auth.testing import settings as settings_for_tests

ADA = "ada@example.com"
OLD = {
    "bcrypt": {"bcrypt__rounds": 4},
    "scrypt": {"scrypt__rounds": 4},
    "pbkdf2_sha256": {"pbkdf2_sha256__rounds": 1},
    "pbkdf2_sha512": {"pbkdf2_sha512__rounds": 1},
}


class Spy:
    """A context that notes in which thread it works."""

    def __init__(self, context: CryptContext) -> None:
        self._context = context
        self.threads: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def verify_and_update(self, *arguments: Any) -> Any:
        self.threads.append(threading.current_thread().name)
        return self._context.verify_and_update(*arguments)


@pytest.mark.parametrize("scheme", OLD)
async def test_old_hashes_verify_and_are_upgraded(
    start_service: ServiceFactory, scheme: str
) -> None:
    """A policy that moved on reaches everyone who logs in."""
    old = CryptContext([scheme], **OLD[scheme])
    before = await start_service(password_context=old)
    await before.new_user(ADA)

    service = await start_service()
    assert (await service.log_in(ADA)).status_code == 200

    # The old context can't read what is stored now.
    assert (await before.log_in(ADA)).status_code == 401
    assert (await service.log_in(ADA)).status_code == 200


async def test_every_login_costs_one_verification_off_the_loop(sqlite_url: str) -> None:
    """Unknown users too, or the time would tell who has an account."""
    spy = Spy(cheapest_context())
    async with running_service(sqlite_url, password_context=spy) as service:
        await service.new_user(ADA)
        for email, password in ((ADA, "secret"), (ADA, "wrong one"), ("no@example.com", "x")):
            await service.log_in(email, password)

    assert len(spy.threads) == 3
    assert all(name.startswith("password-hash") for name in spy.threads)


async def test_a_full_queue_is_503_and_recovers(sqlite_url: str) -> None:
    """Overload is refused at once, rather than answered late."""
    context = recommended_context()
    async with running_service(
        sqlite_url, password_context=context, hashing_threads=1, hashing_queue=1
    ) as service:
        await service.new_user(ADA)
        answers = await asyncio.gather(*(service.log_in(ADA) for _ in range(20)))
        statuses = {answer.status_code for answer in answers}
        assert statuses == {200, 503}
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert refused.headers["retry-after"] == "1"
        assert (await service.log_in(ADA)).status_code == 200


async def test_a_login_storm_does_not_stop_a_protected_get(sqlite_url: str) -> None:
    """The event loop keeps its turn while all threads hash."""
    options = {"password_context": recommended_context(), "hashing_threads": 1}
    async with running_service(sqlite_url, **options) as service:
        token = (await service.new_user(ADA))["token"]
        storm = asyncio.gather(*(service.log_in(ADA) for _ in range(30)))
        served = 0
        while not storm.done():
            assert await service.is_good(token)
            served += 1
            await asyncio.sleep(0.001)  # a request that asks nobody gives nobody a turn

        assert {answer.status_code for answer in await storm} == {200}
        assert served > 30


async def test_an_unreadable_hash_is_a_wrong_password(sqlite_url: str) -> None:
    """passlib raises; the client sees what it sees for any wrong password."""
    hasher = PasswordHasher(cheapest_context())
    for stored in ("garbage", "", "$argon2id$broken", None):
        assert not (await hasher.verify("secret", stored)).valid
    hasher.close()


async def test_no_thread_outlives_the_shutdown(sqlite_url: str) -> None:
    """And who comes back after it is served by new ones."""

    def hashing() -> list[threading.Thread]:
        return [t for t in threading.enumerate() if t.name.startswith("password-hash")]

    before = hashing()
    async with running_service(sqlite_url) as service:
        await service.sign_up(ADA)
        threads = [thread for thread in hashing() if thread not in before]
        assert threads
        await service.auth.shutdown()
        for thread in threads:
            await asyncio.to_thread(thread.join, 10)
        assert not any(thread.is_alive() for thread in threads)
        await service.sign_up("bob@example.com")


async def test_bcrypt_truncates_nothing(sqlite_url: str) -> None:
    """73 bytes are refused, where only 72 would count."""
    context = CryptContext(["bcrypt"], bcrypt__rounds=4)
    async with running_service(sqlite_url, password_context=context) as service:
        user = {"email": ADA, "password": "x" * 73}
        answer = await service.call("POST", "/api/users", {"user": user})
        assert answer.json() == {"errors": {"password": "should be at most 72 bytes"}}
        await service.sign_up(ADA, "x" * 72)


def test_a_context_that_does_not_work_is_told_at_construction(sqlite_url: str) -> None:
    """Not at the first login."""
    options = {**settings_for_tests(Mailbox()), "password_context": CryptContext([])}
    with pytest.raises(SettingsError, match="password_context"):
        TokenAuth(database=sqlite_url, **options)
