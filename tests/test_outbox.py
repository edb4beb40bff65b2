"""The promise of the outbox: what was answered "ok" ends sent or as a dead letter."""

import asyncio
import collections
import contextlib
import os
import signal
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import databases
import killed_process
import pytest
from conftest import Service, ServiceFactory, running_service
from forked import ForkedProcess, command_line, run_forked
from smtp_server import Recorder, smtp_server

from asgi_token_auth import Mail, MailError, MailRefused
from asgi_token_auth.mail import sender
from asgi_token_auth.mail.messages import Message
from asgi_token_auth.testing import SECRET_KEY, token_in
from asgi_token_auth.tokens import digest

ADA = "ada@example.com"
ROUNDS = int(os.environ.get("TEST_KILL_ROUNDS", "1"))
LEASE = timedelta(minutes=3)
POINTS = (
    "before put",
    "after put",  # the row is written, nothing is committed
    "after commit",
    "before claim",
    "after claim",  # the lease is written, nothing is committed
    "before send",
    "after send",
    "before finish",
    "after finish",  # the end is written, nothing is committed
    "after all",
)


async def rows(url: str, table: str = "outbox") -> list[dict[str, Any]]:
    async with databases.Database(url.replace("mysql://", "mysql+asyncmy://")) as database:
        found = await database.fetch_all(f"SELECT * FROM {table}")
        return [dict(row._mapping) for row in found]


async def states(url: str) -> dict[str, str]:
    return {row["recipient"]: row["state"] for row in await rows(url)}


async def execute(url: str, statement: str, **values: Any) -> None:
    async with databases.Database(url.replace("mysql://", "mysql+asyncmy://")) as database:
        await database.execute(statement, values)


async def put(service: Service, *recipients: str, kind: str = "notice") -> None:
    """Mails of the application's own making, all in one unit of work."""

    async def write(session: Any) -> None:
        for recipient in recipients:
            await service.auth.outbox.put(session, kind, recipient, Message("s", "t"))

    await service.auth._database.write(write)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Provider:
    """A provider with faults, and what it was asked to send."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.refused: set[str] = set()
        self.hangs_for: set[str] = set()
        self.back = asyncio.Event()
        self.tried: list[str] = []
        self.sent: list[Mail] = []

    async def send(self, mail: Mail) -> None:
        self.tried.append(mail.recipient)
        if mail.recipient in self.refused:
            raise MailRefused("no such mailbox")
        if mail.recipient in self.hangs_for:
            await self.back.wait()
        if self.fault:
            raise self.fault
        self.sent.append(mail)


def end(point: str, url: str, email: str, accepted: Path) -> bool:
    """Runs a process to its death at that point; whether it had answered the sign-up."""
    result = run_forked(killed_process.run, url, point, email, accepted)
    assert result.returncode == -signal.SIGKILL, result.stderr
    return "answered" in result.stdout


async def test_a_process_killed_anywhere_loses_no_mail(database_url: str, tmp_path: Path) -> None:
    """SIGKILL at each point: every sign-up that was answered ends in a mail, and only one that
    died between acceptance and the note of it comes twice, with the same id."""
    accepted, answered = tmp_path / "accepted", set()
    accepted.touch()
    async with running_service(database_url, send_mail=False) as service:
        for number in range(ROUNDS):
            for point in POINTS:
                email = f"{point.replace(' ', '-')}-{number}@example.com"
                if await asyncio.to_thread(end, point, database_url, email, accepted):
                    answered.add(email)
        service.clock.forward(LEASE)
        await service.auth.sender.deliver_due()

        by_recipient = collections.defaultdict(list)
        for line in accepted.read_text().splitlines():
            recipient, mail_id = line.split()
            by_recipient[recipient].append(mail_id)
        for mail in service.mailbox.mails:
            by_recipient[mail.recipient].append(mail.id)

    in_doubt = ("after-send", "before-finish", "after-finish")
    assert len(answered) == ROUNDS * (len(POINTS) - 3)
    assert set(await states(database_url)) == set(by_recipient)
    assert answered <= set(by_recipient)
    assert set((await states(database_url)).values()) == {"sent"}
    for recipient, ids in by_recipient.items():
        assert len(set(ids)) == 1
        assert len(ids) == (2 if recipient.startswith(in_doubt) else 1), recipient


async def test_four_sending_processes_send_a_thousand_mails_once_each(database_url: str) -> None:
    """Over real SMTP, from the command line, and a fifth process is killed in the midst of it."""
    recipients = [f"user{number}@example.com" for number in range(1000)]
    async with running_service(database_url, send_mail=False) as service:
        await put(service, *recipients)
    recorder = Recorder()
    async with smtp_server(recorder) as port:
        environment = {
            "TOKEN_AUTH_DATABASE": database_url,
            "TOKEN_AUTH_SECRET_KEY": SECRET_KEY,
            "TOKEN_AUTH_EMAIL_SENDER": "app@example.com",
            "TOKEN_AUTH_MAIL_TRANSPORT": f"smtp://127.0.0.1:{port}?security=none",
        }
        senders = [
            ForkedProcess(command_line, "outbox", "run", environment=environment) for _ in range(4)
        ]
        await until(lambda: len(recorder.mails) == len(recipients))
        for process in senders:
            process.terminate()
        outputs = [(await asyncio.to_thread(process.wait)).stdout for process in senders]

    sent_to = [envelope.rcpt_tos[0] for envelope in recorder.mails]
    assert sorted(sent_to) == sorted(recipients)
    assert outputs == ["sending\nstopped\n"] * 4
    assert set((await states(database_url)).values()) == {"sent"}


async def test_an_hours_outage_loses_nothing(start_service: ServiceFactory) -> None:
    """The requests see nothing of it, and the tries become rarer."""
    provider = Provider()
    provider.fault = MailError("down")
    service = await start_service(
        mail_transport=provider, send_mail=False, recent_login=None, mail_cooldown=None
    )
    signed_up = []
    for minute in range(60):
        if minute % 10 == 0:
            signed_up.append(f"user{minute}@example.com")
            await service.sign_up(signed_up[-1])
        await service.auth.sender.deliver_due()
        service.clock.forward(timedelta(minutes=1))
    tries_of_the_first = provider.tried.count(signed_up[0])
    provider.fault = None
    for _ in range(10):
        await service.auth.sender.deliver_due()
        service.clock.forward(timedelta(minutes=1))

    assert sorted(mail.recipient for mail in provider.sent) == sorted(signed_up)
    assert 10 <= tries_of_the_first <= 20
    mail = provider.sent[0]
    body = {"confirmation_token": token_in(mail)}
    user_id = mail.text.partition("user id: ")[2].partition("\n")[0]
    assert (await service.call("POST", f"/api/users/{user_id}/confirm", body)).status_code == 200


async def test_a_provider_that_asks_for_patience_gets_it(start_service: ServiceFactory) -> None:
    """Retry-After holds for every mail, also a new one; an absurd one holds for an hour."""
    provider = Provider()
    provider.fault = MailError("too many", retry_after=300)
    service = await start_service(mail_transport=provider, send_mail=False)
    await service.sign_up(ADA)
    await service.auth.sender.deliver_due()
    await service.sign_up("bob@example.com")
    provider.fault = MailError("too many", retry_after=10**9)

    service.clock.forward(timedelta(seconds=299))
    assert await service.auth.sender.deliver_due() == 0
    service.clock.forward(timedelta(seconds=1))
    assert await service.auth.sender.deliver_due() == 2
    provider.fault = None
    service.clock.forward(timedelta(hours=1))
    assert await service.auth.sender.deliver_due() == 2
    assert len(provider.sent) == 2


async def test_a_mail_that_hangs_or_is_poisoned_holds_up_no_other(
    start_service: ServiceFactory,
) -> None:
    """While some hang, and some are refused, new ones go out at once."""
    provider = Provider()
    provider.hangs_for = {f"hang{number}@example.com" for number in range(9)}
    provider.refused = {"refused@example.com"}
    service = await start_service(mail_transport=provider)
    await put(service, *provider.hangs_for, *provider.refused)
    service.auth.sender.wake()
    await service.sign_up(ADA)
    await service.sign_up("bob@example.com")

    await until(lambda: len(provider.sent) == 2)
    provider.back.set()  # or leaving would wait for them


async def test_one_sender_sends_ten_at_once_also_while_it_stops(
    start_service: ServiceFactory,
) -> None:
    """Mails that are written during a shutdown start no second sender beside the first."""

    class Slow:
        active = most = sent = 0

        async def send(self, mail: Mail) -> None:
            self.active += 1
            self.most = max(self.most, self.active)
            await asyncio.sleep(0.02)
            self.active -= 1
            self.sent += 1

    slow = Slow()
    service = await start_service(mail_transport=slow)
    await put(service, *(f"user{number}@example.com" for number in range(40)))
    service.auth.sender.start()
    stopping = asyncio.create_task(service.auth.sender.stop())
    for _ in range(5):
        service.auth.sender.wake()
        await asyncio.sleep(0.015)
    async with asyncio.timeout(20):  # a second sender would keep the first from ending
        await stopping

    assert (slow.most, slow.sent) == (10, 40)


async def test_a_provider_that_hangs_holds_up_no_shutdown(
    start_service: ServiceFactory, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor one that takes no notice of its end. What was under way is sent by the next process, what
    was not begun too; a mail that is only slow is sent once."""
    monkeypatch.setattr(sender, "DRAIN_SECONDS", 0.1)
    monkeypatch.setattr(sender, "STOP_SECONDS", 1.0)
    monkeypatch.setattr(sender, "FAREWELL_SECONDS", 0.1)
    monkeypatch.setattr(sender, "CONCURRENCY", 3)
    never, slow = asyncio.Event(), asyncio.Event()

    class Hanging(Provider):
        async def send(self, mail: Mail) -> None:
            if mail.recipient == "slow@example.com":
                await slow.wait()
            if mail.recipient == "deaf@example.com":
                with contextlib.suppress(asyncio.CancelledError):
                    await never.wait()
                await never.wait()
            await super().send(mail)

        async def aclose(self) -> None:
            await never.wait()

    provider = Hanging()
    provider.hangs_for = {"hangs@example.com"}
    service = await start_service(mail_transport=provider)
    await put(service, "slow@example.com", "hangs@example.com", "deaf@example.com")
    service.auth.sender.start()
    await until(lambda: len(service.auth.sender._sending) == 3)
    await put(service, "later@example.com")

    stopping = asyncio.create_task(service.auth.sender.stop())
    await asyncio.sleep(0.2)
    slow.set()
    async with asyncio.timeout(sender.SEND_SECONDS / 2):  # or it would wait for all of that
        await stopping

    assert [mail.recipient for mail in provider.sent] == ["slow@example.com"]
    service.clock.forward(LEASE)
    async with running_service(database_url, clock=service.clock) as next_one:
        await next_one.auth.sender.deliver_due()
        recipients = sorted(mail.recipient for mail in next_one.mailbox.mails)
    assert recipients == ["deaf@example.com", "hangs@example.com", "later@example.com"]
    never.set()


async def test_what_somebody_put_into_the_table_is_not_sent(database_url: str) -> None:
    """A poisoned recipient, another's recipient, a forged text: dead letters with their reason."""
    async with running_service(database_url, send_mail=False) as service:
        await put(service, ADA, "bob@example.com", "eve@example.com")
        update = "UPDATE outbox SET {} WHERE recipient = :of"
        poisoned = "eve@example.com\r\nBcc: all@example.com"
        await execute(database_url, update.format("recipient = :to"), to=poisoned, of=ADA)
        await execute(
            database_url, update.format("recipient = 'mallory@x.y'"), of="bob@example.com"
        )
        await execute(database_url, update.format("payload = 'forged'"), of="eve@example.com")

        await service.auth.sender.deliver_due()

        assert service.mailbox.mails == []
        found = {row["recipient"]: row for row in await rows(database_url)}
        assert {row["state"] for row in found.values()} == {"dead"}
        assert "another recipient" in found[poisoned]["last_error"]
        assert "another recipient" in found["mallory@x.y"]["last_error"]
        assert "can't be opened" in found["eve@example.com"]["last_error"]


async def test_a_database_that_is_away_after_the_sending_hears_of_it_later(
    sqlite_url: str,
) -> None:
    """The mail went out once; what became of it is written down when that is possible."""

    class Blocking(Provider):
        async def send(self, mail: Mail) -> None:
            await super().send(mail)
            path = sqlite_url.removeprefix("sqlite:///")
            other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            # In a thread: what this loop has begun must end before the lock can be had.
            await asyncio.to_thread(other.execute, "BEGIN EXCLUSIVE")
            asyncio.get_running_loop().call_later(2.5, other.close)

    provider = Blocking()
    timeout = timedelta(seconds=0.5)
    options = {"mail_transport": provider, "send_mail": False, "database_timeout": timeout}
    async with running_service(sqlite_url, **options) as service:
        await put(service, ADA)
        await service.auth.sender.deliver_due()

        assert provider.tried == [ADA]
        assert await states(sqlite_url) == {ADA: "sent"}


async def test_a_mail_whose_token_died_is_not_sent(start_service: ServiceFactory) -> None:
    """It would be a link that does not work; it can be seen among the dead."""
    service = await start_service(send_mail=False)
    await service.sign_up(ADA)
    service.clock.forward(timedelta(days=3))
    await service.auth.sender.deliver_due()

    (row,) = await service.auth.outbox.list("dead")
    assert row.last_error == "its token died before it could be sent"
    assert service.mailbox.mails == []


async def test_a_mail_nobody_takes_is_given_up(
    start_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transport's own fault is no reason to try for ever."""
    monkeypatch.setattr("asgi_token_auth.mail.sender.MOST_ATTEMPTS", 3)
    provider = Provider()
    provider.fault = LookupError("secret details")
    service = await start_service(mail_transport=provider, send_mail=False)
    await put(service, ADA)
    for _ in range(5):
        await service.auth.sender.deliver_due()
        service.clock.forward(timedelta(minutes=10))

    (row,) = await service.auth.outbox.list("dead")
    assert (provider.tried, row.last_error) == ([ADA] * 3, "given up: LookupError")


async def test_a_dump_holds_no_usable_token(database_url: str) -> None:
    """Neither in clear, nor as something the endpoints take for one."""
    async with running_service(database_url, send_mail=False) as service:
        login = await sign_up_and_confirm(service)
        await service.call("POST", "/api/password_resets", {"email": ADA})
        await service.sign_up("bob@example.com")
        dump = [*await rows(database_url), *await rows(database_url, "tokens")]
        await service.auth.sender.deliver_due()
        mails = {mail.recipient: token_in(mail) for mail in service.mailbox.mails}

        text = str(dump)
        assert digest(mails[ADA]) in text
        for secret in (login["token"], login["token"].split(".")[2], *mails.values()):
            assert secret not in text
        for row in dump:
            for value in map(str, row.values()):
                body = {"user_id": 1, "password_reset_token": value, "password": "new secret"}
                response = await service.call("POST", "/api/password_resets/reset", body)
                assert response.status_code == 422
                assert not value or not value.isascii() or not await service.is_good(value[:1000])


async def sign_up_and_confirm(service: Service) -> Any:
    await service.sign_up(ADA)
    await service.auth.sender.deliver_due()
    return (await service.confirm(ADA)).json()


async def test_old_keys_open_what_they_sealed(database_url: str) -> None:
    """A rotation between sign-up and sending costs no mail; a lost key makes a dead letter."""
    async with running_service(database_url, send_mail=False) as service:
        await service.sign_up(ADA)
        await service.sign_up("bob@example.com")
    new = "k" * 40
    async with running_service(database_url, secret_key=[new, SECRET_KEY]) as service:
        assert (await service.mailbox.receive(ADA)).subject
    async with running_service(database_url, send_mail=False) as service:
        await service.sign_up("cyd@example.com")
    async with running_service(database_url, secret_key=new, send_mail=False) as service:
        await service.auth.sender.deliver_due()
    assert (await states(database_url))["cyd@example.com"] == "dead"


async def test_a_mailbox_rests_after_two_mails_of_a_kind(start_service: ServiceFactory) -> None:
    """Strangers can ask for mails; the answer is the same, and the last token stays good."""
    service = await start_service(disclose_accounts="never")
    await service.new_user(ADA)
    for path in ("password_resets", "confirmations"):
        for email in (ADA, "nobody@example.com"):
            for _ in range(5):
                response = await service.call("POST", f"/api/{path}", {"email": email})
                assert (response.status_code, response.json()) == (200, "ok")
    for _ in range(5):
        await service.sign_up(ADA)
    kinds = await all_kinds(service)

    assert kinds == {"password_reset": 2, "account_exists": 2}
    mails = [mail for mail in service.mailbox.mails if mail.kind == "password_reset"]
    newest = {"user_id": 1, "password_reset_token": "", "password": "new secret"}
    answers = [
        await service.call(
            "POST", "/api/password_resets/reset", {**newest, "password_reset_token": token_in(mail)}
        )
        for mail in mails
    ]
    assert sorted(answer.status_code for answer in answers) == [200, 422]
    service.mailbox.mails.clear()
    service.clock.forward(timedelta(minutes=1))
    await service.call("POST", "/api/password_resets", {"email": ADA})
    assert "password_reset" in await all_kinds(service)


async def all_kinds(service: Service) -> dict[str, int]:
    """What has been mailed once nothing waits any more."""
    await service.auth.sender.stop()
    assert not await service.auth.outbox.list("queued")
    return dict(collections.Counter(mail.kind for mail in service.mailbox.mails))


async def test_a_resend_is_possible_at_once_and_then_rests(start_service: ServiceFactory) -> None:
    """The first may be in a spam folder, and sign-up's own counts."""
    service = await start_service()
    await service.sign_up(ADA)
    for _ in range(4):
        await service.call("POST", "/api/confirmations", {"email": ADA})
    assert await all_kinds(service) == {"confirmation": 2}


async def test_without_a_lifespan_mails_go_out_too(database_url: str) -> None:
    """Lazily, with the first mail."""
    async with running_service(database_url) as service:
        await service.auth.shutdown()
        await service.sign_up(ADA)
        assert await service.mailbox.receive(ADA)


async def test_a_restarted_process_sends_what_another_left(database_url: str) -> None:
    """Nobody needs to ask for it."""
    async with running_service(database_url, send_mail=False) as service:
        await service.sign_up(ADA)
    async with running_service(database_url) as service:
        assert await service.mailbox.receive(ADA)


async def outbox(url: str, *arguments: str, code: int = 0) -> str:
    """Beside this loop: a service in it may be about to commit."""
    environment = {
        "TOKEN_AUTH_DATABASE": url,
        "TOKEN_AUTH_SECRET_KEY": SECRET_KEY,
        "TOKEN_AUTH_EMAIL_SENDER": "app@example.com",
    }
    result = await asyncio.to_thread(
        run_forked, command_line, "outbox", *arguments, environment=environment
    )
    assert result.returncode == code, result.stderr
    return result.stdout


def test_the_settings_of_an_application(tmp_path: Path) -> None:
    """--app, with a table and a transport that no environment can name."""
    (tmp_path / "shop.py").write_text(
        "from asgi_token_auth import TokenAuth, testing\n"
        "auth = TokenAuth(database='sqlite:///shop.db', **testing.settings(testing.Mailbox()))\n"
    )
    for app, code, text in (
        ("shop:auth", 0, "ok\n"),
        ("shop:none", 1, "can't be loaded"),
        ("shop:auth --database-url sqlite:///x.db", 1, "leave --database-url out"),
        ("shop:TokenAuth", 1, "is no TokenAuth"),
        ("nowhere:auth", 1, "can't be loaded"),
        ("nowhere", 1, "it must be MODULE:NAME"),
    ):
        name, *options = app.split()
        arguments = ("--app", name, "create-tables", *options)
        result = run_forked(command_line, *arguments, directory=tmp_path)
        assert (result.returncode, text in result.stdout + result.stderr) == (code, True)
    assert (tmp_path / "shop.db").exists()


async def test_dead_letters_are_listed_sent_again_and_purged(database_url: str) -> None:
    """As an operator types it; a purge spares what is young."""
    provider = Provider()
    provider.refused = {"refused\x1b[2J@example.com", ADA}
    options = {"mail_transport": provider, "send_mail": False}
    async with running_service(database_url, **options) as service:
        await put(service, *provider.refused)
        await service.auth.sender.deliver_due()
        listed = (await outbox(database_url, "list", "--state", "dead")).splitlines()
        assert len(listed) == 3
        assert "\x1b" not in str(listed)
        assert all(line.endswith("no such mailbox") for line in listed[1:])
        assert await outbox(database_url, "retry", code=2) == ""
        assert await outbox(database_url, "purge", "--sent-days", "nan", code=2) == ""
        (ada,) = (line for line in listed if ADA in line)

        assert await outbox(database_url, "retry", ada.split("\t")[0]) == "1 mails queued\n"
        assert "To: ada@example.com" in await outbox(database_url, "run", "--once")
        assert (await states(database_url))[ADA] == "sent"

        assert await outbox(database_url, "purge") == "0 mails deleted\n"
        await execute(database_url, "UPDATE outbox SET next_attempt_at = 0")
        assert await outbox(database_url, "retry", "--all") == "1 mails queued\n"
        assert await outbox(database_url, "purge") == "1 mails deleted\n"
        assert list(await states(database_url)) == ["refused\x1b[2J@example.com"]
