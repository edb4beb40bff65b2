"""Mails: their texts, their transports, and the outbox between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from email import policy
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import databases
import pytest
from conftest import Service, ServiceFactory, running_service

from asgi_token_auth import (
    ConsoleTransport,
    FileTransport,
    Mail,
    MailError,
    MailgunTransport,
    MailRefused,
    SettingsError,
)
from asgi_token_auth.testing import token_in

ADA = "ada@example.com"
MAIL = Mail("1" * 32, "confirmation", "app@example.com", ADA, "Grüße", "Dear Ada, …\n")


@contextlib.asynccontextmanager
async def mailgun(
    *answers: bytes | None, timeout: float = 10.0
) -> AsyncIterator[tuple[MailgunTransport, list[bytes]]]:
    """A transport to a server that gives these answers; None: it hangs up; b"": it says nothing."""
    requests: list[bytes] = []
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        answer = answers[min(len(requests), len(answers) - 1)]
        requests.append(head + await reader.readexactly(length))
        if answer:
            writer.write(b"HTTP/1.1 " + answer)
        if answer != b"":
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    transport = MailgunTransport("mg.example.com", "key", base_url=base_url, timeout=timeout)
    try:
        yield transport, requests
    finally:
        await transport.aclose()
        server.close()
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def test_mailgun_is_given_the_mail_and_no_tracking() -> None:
    """A tracked link would hand the token to a third party."""
    async with mailgun(b"200 OK\r\nContent-Length: 2\r\n\r\n{}") as (transport, requests):
        await transport.send(MAIL)

    head, _, body = requests[0].partition(b"\r\n\r\n")
    form = parse_qs(body.decode())
    assert head.startswith(b"POST /v3/mg.example.com/messages ")
    assert b"Basic YXBpOmtleQ==" in head
    assert (form["to"], form["subject"], form["o:tracking"]) == ([ADA], ["Grüße"], ["no"])


@pytest.mark.parametrize(
    ("answer", "error", "retry_after"),
    [
        (b"400 Bad Request\r\nContent-Length: 0\r\n\r\n", MailRefused, None),
        (b"401 Unauthorized\r\nContent-Length: 9\r\n\r\nForbidden", MailError, None),
        (b"429 Too Many\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", MailError, 7),
        (b"429 Too Many\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", MailError, None),
        (
            b"503 Later\r\nRetry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\nContent-Length: 0\r\n\r\n",
            MailError,
            0,
        ),
        (b"302 Found\r\nLocation: http://x.y\r\nContent-Length: 0\r\n\r\n", MailError, None),
        (b"500 Oops\r\nContent-Length: 0\r\n\r\n", MailError, None),
        (None, MailError, None),
    ],
)
async def test_mailgun_errors(
    answer: bytes | None, error: type[MailError], retry_after: float | None
) -> None:
    """What may pass is tried again; what can't is not."""
    async with mailgun(answer) as (transport, _):
        with pytest.raises(MailError) as raised:
            await transport.send(MAIL)

    assert type(raised.value) is error
    assert raised.value.retry_after == retry_after


async def test_a_mailgun_that_hangs_is_tried_again() -> None:
    """The sender has other mails, too."""
    async with mailgun(b"", timeout=0.2) as (transport, _):
        with pytest.raises(MailError) as raised:
            await transport.send(MAIL)
    assert type(raised.value) is MailError


async def test_an_answer_lost_after_acceptance_means_once_more(
    start_service: ServiceFactory,
) -> None:
    """With the same Message-ID and the same token, which still works."""
    accepted = b"200 OK\r\nContent-Length: 2\r\n\r\n{}"
    async with mailgun(None, accepted) as (transport, requests):
        service = await start_service(mail_transport=transport, send_mail=False)
        await service.sign_up(ADA)
        await service.auth.sender.deliver_due()
        service.clock.forward(timedelta(seconds=2))
        await service.auth.sender.deliver_due()

    first, second = (parse_qs(request.partition(b"\r\n\r\n")[2].decode()) for request in requests)
    assert first == second
    assert first["h:Message-ID"][0].endswith("@example.com>")
    token = first["text"][0].partition("confirmation_token: ")[2].strip()
    answer = await service.call("POST", "/api/users/1/confirm", {"confirmation_token": token})
    assert answer.status_code == 200


async def test_mailgun_unreachable_is_tried_again() -> None:
    """A refused connection is no refused mail."""
    transport = MailgunTransport("mg.example.com", "key", base_url="http://127.0.0.1:1")
    with pytest.raises(MailError) as raised:
        await transport.send(MAIL)
    assert type(raised.value) is MailError
    assert "key" not in repr(transport)
    await transport.aclose()


@pytest.mark.parametrize("domain", ["../evil", "", "a/b", "a b", "x\r\ny"])
def test_a_domain_that_is_none_is_refused(domain: str) -> None:
    """It goes into the URL's path."""
    with pytest.raises(SettingsError):
        MailgunTransport(domain, "key")


@pytest.mark.parametrize(
    "recipient",
    ["a@b.c, d@e.f", "a@b.c\r\nBcc: d@e.f", "a@b.c\u2028", "Ada <a@b.c>", "a@@b.c", "", "a b@c.d"],
)
async def test_a_recipient_that_is_more_than_one_address_gets_nothing(
    recipient: str, tmp_path: Path
) -> None:
    """Checked again when it is sent: the row may have been put there by somebody else."""
    poisoned = Mail("2" * 32, "x", "app@example.com", recipient, "s", "t")
    async with mailgun(b"200 OK\r\n\r\n") as (transport, requests):
        for each in (transport, FileTransport(tmp_path), ConsoleTransport()):
            with pytest.raises(MailRefused):
                await each.send(poisoned)

    assert not requests
    assert not list(tmp_path.glob("*.eml"))


async def test_files_and_console_show_the_mail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One .eml a mail, however often it is tried."""
    for _ in range(2):
        await FileTransport(tmp_path).send(MAIL)
    await ConsoleTransport().send(MAIL)

    (path,) = tmp_path.glob("*.eml")
    read = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
    assert (read["To"], read["Subject"]) == (ADA, "Grüße")
    assert read.get_content() == MAIL.text
    assert f"To: {ADA}" in capsys.readouterr().out


async def test_own_builders_see_user_token_and_request(start_service: ServiceFactory) -> None:
    """Some of the six, in the language of the request; the rest stay as they are."""

    class Emails:
        def welcome_subject(self, user: Any, request: Any) -> str:
            return {"de": "Willkommen"}.get(request.headers["language"], "Welcome")

        def welcome_body(self, user: Any, token: str, request: Any) -> str:
            return f"{user.email} confirmation_token: {token}"

    service = await start_service(emails=Emails())
    user = {"user": {"email": ADA, "password": "secret"}}
    await service.client.post("/api/users", json=user, headers={"language": "de"})

    mail = await service.mailbox.receive(ADA)
    assert mail.subject == "Willkommen"
    assert mail.text.startswith(ADA)
    body = {"confirmation_token": token_in(mail)}
    assert (await service.call("POST", "/api/users/1/confirm", body)).status_code == 200
    await service.call("POST", "/api/password_resets", {"email": ADA})
    assert (await service.mailbox.receive(ADA)).subject == "Reset your password"


async def test_links_come_from_the_settings_never_from_host(start_service: ServiceFactory) -> None:
    """Host header poisoning would send the token elsewhere."""
    service = await start_service(confirmation_url="https://app.example.com/c/{user_id}/{token}")
    user = {"user": {"email": ADA, "password": "secret"}}
    await service.client.post("/api/users", json=user, headers={"Host": "evil.example.com"})

    mail = await service.mailbox.receive(ADA)
    assert "https://app.example.com/c/1/" in mail.text
    assert "evil" not in mail.text


async def test_user_and_mail_are_one_transaction(start_service: ServiceFactory) -> None:
    """A mail that can't be built leaves no user who waits for it."""

    class Broken:
        def welcome_body(self, user: Any, token: str, request: Any) -> str:
            raise LookupError("the application's own fault")

    service = await start_service(emails=Broken())
    user = {"user": {"email": ADA, "password": "secret"}}
    with pytest.raises(LookupError):
        await service.call("POST", "/api/users", user)

    unknown = {"errors": {"base": "Unknown email or password"}}
    assert (await service.log_in(ADA)).json() == unknown


async def rows(service: Service, url: str) -> list[dict[str, Any]]:
    async with databases.Database(url.replace("mysql://", "mysql+asyncmy://")) as database:
        found = await database.fetch_all("SELECT * FROM outbox ORDER BY created_at")
        return [dict(row._mapping) for row in found]


async def test_the_outbox_is_sealed_and_a_sent_body_is_wiped(database_url: str) -> None:
    """A dump of the database holds no usable token."""
    async with running_service(database_url, send_mail=False) as service:
        await service.sign_up(ADA)
        (row,) = await rows(service, database_url)
        assert (row["state"], row["recipient"]) == ("queued", ADA)
        assert "token" not in row["payload"]

        await service.auth.sender.deliver_due()

        token = await service.mailbox.token(ADA)
        (row,) = await rows(service, database_url)
        assert (row["state"], row["payload"]) == ("sent", "")
        assert token not in str(row)


async def test_a_provider_that_is_down_delays_and_loses_nothing(database_url: str) -> None:
    """The request does not see it; a later try delivers; a refused mail blocks nobody."""

    class Flaky:
        def __init__(self) -> None:
            self.down, self.sent = True, list[Mail]()

        async def send(self, mail: Mail) -> None:
            if mail.recipient.startswith("refused"):
                raise MailRefused("no such mailbox")
            if self.down:
                raise MailError("down")
            self.sent.append(mail)

    flaky = Flaky()
    async with running_service(database_url, mail_transport=flaky, send_mail=False) as service:
        await service.sign_up("refused@example.com")
        await service.sign_up(ADA)
        await service.auth.sender.deliver_due()
        states = {row["recipient"]: row["state"] for row in await rows(service, database_url)}
        assert states == {"refused@example.com": "dead", ADA: "queued"}
        flaky.down = False
        assert await service.auth.sender.deliver_due() == 0

        service.clock.forward(timedelta(minutes=1))
        await service.auth.sender.deliver_due()

        assert [mail.recipient for mail in flaky.sent] == [ADA]


async def test_two_senders_send_each_mail_once(database_url: str) -> None:
    """The claim is one conditional statement."""
    async with running_service(database_url, send_mail=False) as service:
        for number in range(8):
            await service.sign_up(f"user{number}@example.com")

        await asyncio.gather(*(service.auth.sender.deliver_due() for _ in range(4)))

        assert len(service.mailbox.mails) == 8
