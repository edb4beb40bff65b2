"""Everything at once, on each database."""

import asyncio
import contextlib
import random
from typing import Any

import pytest
from conftest import Service, ServiceFactory
from passlib.context import CryptContext

ADA = "ada@example.com"


def statuses(responses: list[Any]) -> dict[int, int]:
    """How often each status was answered."""
    codes = [response.status_code for response in responses]
    return {code: codes.count(code) for code in sorted(set(codes))}


async def reset_token(service: Service, email: str = ADA) -> str:
    await service.call("POST", "/api/password_resets", {"email": email})
    return await service.mailbox.token(email, "password_reset")


async def test_fifty_sign_ups_of_one_address_make_one_account(service: Service) -> None:
    """The unique constraint decides, and the others are told."""
    user = {"email": ADA, "password": "secret"}

    answers = await asyncio.gather(
        *(service.call("POST", "/api/users", {"user": user}) for _ in range(50))
    )

    assert statuses(answers) == {200: 1, 422: 49}
    assert (await service.confirm(ADA)).status_code == 200


async def test_fifty_uses_of_one_confirmation_give_one_success(service: Service) -> None:
    """The DELETE that changed a row won."""
    await service.sign_up(ADA)
    token = await service.mailbox.token(ADA)
    body = {"confirmation_token": token}

    answers = await asyncio.gather(
        *(service.call("POST", "/api/users/1/confirm", body) for _ in range(50))
    )

    assert statuses(answers) == {200: 1, 422: 49}


async def test_fifty_uses_of_one_reset_give_one_success(service: Service) -> None:
    """And its token is good: no other reset ended it."""
    await service.new_user(ADA)
    body = {"user_id": 1, "password_reset_token": await reset_token(service)}

    answers = await asyncio.gather(
        *(
            service.call("POST", "/api/password_resets/reset", {**body, "password": f"secret {n}"})
            for n in range(50)
        )
    )

    assert statuses(answers) == {200: 1, 422: 49}
    winner = next(answer for answer in answers if answer.status_code == 200)
    assert await service.is_good(winner.json()["token"])


async def test_fifty_logins_of_one_user_lose_no_token(service: Service) -> None:
    """A row each, not an array that is read, changed and written."""
    await service.new_user(ADA)

    answers = await asyncio.gather(*(service.log_in(ADA) for _ in range(50)))

    assert statuses(answers) == {200: 50}
    tokens = {answer.json()["token"] for answer in answers}
    assert len(tokens) == 50
    assert all(await asyncio.gather(*map(service.is_good, tokens)))


async def test_logins_while_the_hash_is_upgraded_all_succeed(
    start_service: ServiceFactory,
) -> None:
    """The first to upgrade it must not make the others' proof worthless for good."""
    old = CryptContext(["pbkdf2_sha256"], pbkdf2_sha256__rounds=1)
    await (await start_service(password_context=old)).new_user(ADA)
    service = await start_service()

    answers = await asyncio.gather(*(service.log_in(ADA) for _ in range(20)))

    assert statuses(answers) == {200: 20}


@pytest.mark.parametrize("round_", range(5))
async def test_a_login_during_a_reset_leaves_no_live_token(service: Service, round_: int) -> None:
    """The login proved a password that the reset has replaced."""
    await service.new_user(ADA)
    body = {
        "user_id": 1,
        "password_reset_token": await reset_token(service),
        "password": "new secret",
    }

    async def log_in_later(delay: float) -> Any:
        await asyncio.sleep(delay)
        return await service.log_in(ADA)

    reset, *logins = await asyncio.gather(
        service.call("POST", "/api/password_resets/reset", body),
        *(log_in_later(random.uniform(0, 0.02)) for _ in range(12)),
    )

    assert reset.status_code == 200
    assert set(statuses(logins)) <= {200, 401}
    old = [login.json()["token"] for login in logins if login.status_code == 200]
    assert not any(await asyncio.gather(*map(service.is_good, old)))
    assert await service.is_good(reset.json()["token"])


async def test_interleaved_address_changes_confirm_only_their_own_mailbox(
    service: Service,
) -> None:
    """The way Devise was taken over (CVE-2026-32700): own address and victim's at once."""
    token = (await service.new_user(ADA))["token"]
    own, victim = "own@example.com", "victim@example.com"

    await asyncio.gather(
        *(
            service.call("PUT", "/api/account", {"account": {"email": email}}, token)
            for email in (own, victim) * 5
        )
    )
    mailed = await asyncio.wait_for(_all_mails(service, 10), 10)

    for email, secret in mailed:
        answer = await service.call("POST", "/api/users/1/confirm", {"confirmation_token": secret})
        if answer.status_code == 200:
            account = await service.call("GET", "/api/account", token=answer.json()["token"])
            assert account.json()["account"]["email"] == email


async def _all_mails(service: Service, count: int) -> list[tuple[str, str]]:
    from asgi_token_auth.testing import token_in

    while len(service.mailbox.mails) < count:  # noqa: ASYNC110 the mailbox has no event
        await asyncio.sleep(0.01)
    return [(mail.recipient, token_in(mail)) for mail in service.mailbox.mails]


async def test_parallel_changes_of_one_user_are_never_a_server_error(service: Service) -> None:
    """Deadlocks are run again; whoever lost is told."""
    await service.new_user(ADA)
    tokens = [(await service.log_in(ADA)).json()["token"] for _ in range(10)]
    body = {
        "user_id": 1,
        "password_reset_token": await reset_token(service),
        "password": "new secret",
    }
    change = {"account": {"password": "other secret"}}

    answers = await asyncio.gather(
        service.call("POST", "/api/password_resets/reset", body),
        *(service.call("PUT", "/api/account", change, token) for token in tokens[:4]),
        *(service.call("DELETE", "/api/sessions", token=token) for token in tokens[4:8]),
        *(service.call("DELETE", "/api/sessions?scope=all", token=tokens[8]) for _ in range(2)),
    )

    assert max(statuses(answers)) < 500


async def test_requests_cancelled_at_random_leave_no_connection_behind(
    service: Service,
) -> None:
    """What began is finished, what did not is dropped, and every connection comes back."""
    token = (await service.new_user(ADA))["token"]
    acknowledged = 0

    async def request(number: int) -> None:
        nonlocal acknowledged
        user = {"username": f"user{number}", "password": "secret"}
        calls = (
            lambda: service.call("POST", "/api/users", {"user": user}),
            lambda: service.log_in(ADA),
            lambda: service.call("POST", "/api/password_resets", {"email": ADA}),
            lambda: service.is_good(token),
        )
        answer = await calls[number % 4]()
        acknowledged += number % 4 == 0 and answer.status_code == 200

    async def cancelled(number: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(random.uniform(0, 0.3)):
                await request(number)

    await asyncio.gather(*(cancelled(number) for number in range(300)))

    async with asyncio.timeout(10):
        assert await service.is_good(token)
        await service.auth.shutdown()  # waits for all units, and for every connection
    created = [
        (
            await service.call(
                "POST", "/api/sessions", {"username": f"user{n}", "password": "secret"}
            )
        )
        for n in range(0, 300, 4)
    ]
    assert statuses(created).get(200, 0) >= acknowledged
    assert set(statuses(created)) <= {200, 401}
