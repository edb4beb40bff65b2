"""SMTPTransport against a real server, and against one that misbehaves."""

import ssl
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

import pytest
import trustme
from smtp_server import Recorder, authenticate, scripted_server, smtp_server

from asgi_token_auth import Mail, MailError, MailRefused, SettingsError, SMTPTransport
from asgi_token_auth.mail.transports import transport_from_url

ADA = "ada@example.com"
WRITTEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MAIL = Mail(
    "1" * 32, "confirmation", "App <app@example.com>", ADA, "Grüße", "Dear Ada, …\n", "<p>…</p>\n"
)
READY = (b"CONN", b"220 ready\r\n")


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def read(recorder: Recorder) -> EmailMessage:
    (envelope,) = recorder.mails
    assert isinstance(envelope.content, bytes)
    return BytesParser(policy=policy.default).parsebytes(envelope.content)  # type: ignore[arg-type]


def plain(port: int, **options: Any) -> SMTPTransport:
    return SMTPTransport("127.0.0.1", port, security="none", **options)


async def test_starttls_and_password(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """Text, HTML and headers arrive; the password went over TLS."""
    recorder = Recorder()
    options = {"tls_context": server_tls, "require_starttls": True, "auth_required": True}
    async with smtp_server(recorder, authenticator=authenticate, **options) as port:
        transport = SMTPTransport(
            "127.0.0.1", port, username="user", password="pass", tls_context=client_tls
        )
        await transport.send(MAIL)

    message = read(recorder)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert (recorder.logins, recorder.mails[0].mail_from) == (["user"], "app@example.com")
    assert recorder.mails[0].rcpt_tos == [ADA]
    assert (message["Subject"], message["Message-ID"]) == ("Grüße", f"<{MAIL.id}@example.com>")
    assert message["Auto-Submitted"] == "auto-generated"
    assert text is not None
    assert html is not None
    assert text.get_content().replace("\r\n", "\n") == MAIL.text
    assert html.get_content().strip() == "<p>…</p>"
    assert "pass" not in repr(transport)


async def test_implicit_tls(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """TLS from the first byte."""
    recorder = Recorder()
    async with smtp_server(recorder, implicit_tls=server_tls) as port:
        transport = SMTPTransport("127.0.0.1", port, security="tls", tls_context=client_tls)
        await transport.send(MAIL)
    assert len(recorder.mails) == 1


async def test_a_wrong_password_is_the_operators_to_mend(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """No mail dies of it."""
    recorder = Recorder()
    options = {"tls_context": server_tls, "auth_required": True}
    async with smtp_server(recorder, authenticator=authenticate, **options) as port:
        transport = SMTPTransport(
            "127.0.0.1", port, username="user", password="wrong", tls_context=client_tls
        )
        with pytest.raises(MailError) as raised:
            await transport.send(MAIL)
    assert type(raised.value) is MailError
    assert not recorder.mails


async def test_no_tls_or_a_stranger_s_sends_nothing(server_tls: ssl.SSLContext) -> None:
    """A man in the middle strips STARTTLS, or shows a certificate of its own."""
    recorder = Recorder()
    for options in ({}, {"tls_context": server_tls}):
        async with smtp_server(recorder, **options) as port:
            with pytest.raises(MailError) as raised:
                await SMTPTransport("127.0.0.1", port).send(MAIL)
        assert type(raised.value) is MailError
    assert not recorder.mails


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({ADA: "550 no such user"}, MailRefused),
        ({ADA: "451 greylisted"}, MailError),
        ({"DATA": "554 spam"}, MailRefused),
        ({"DATA": "452 full"}, MailError),
    ],
)
async def test_what_the_server_refuses(answers: dict[str, str], error: type[MailError]) -> None:
    """5xx is for good, 4xx for now; the server's text, which may repeat the mail, is not told."""
    async with smtp_server(Recorder(answers)) as port:
        with pytest.raises(MailError) as raised:
            await plain(port).send(MAIL)
    assert type(raised.value) is error
    assert str(raised.value).startswith("the SMTP server answered ")


@pytest.mark.parametrize(
    "script",
    [
        [(b"CONN", None)],
        [(b"CONN", b"554 go away\r\n")],
        [(b"CONN", b"")],
        [READY, (b"EHLO", b"nonsense\r\n")],
        [READY, (b"MAIL", b"550 who are you\r\n")],
        [READY, (b"MAIL", b"421 closing\r\n")],
        [READY, (b"RCPT", None)],
        [READY, (b"DATA", b"354 go\r\n"), (b".", None)],
        [READY, (b"DATA", b"354 go\r\n"), (b".", b"")],
    ],
    ids=["reset", "554", "hang", "nonsense", "sender", "421", "cut", "answer lost", "data hangs"],
)
async def test_a_server_that_misbehaves_is_tried_again(script: list[Any]) -> None:
    """Hangs end at the timeout; an answer lost after acceptance means once more."""
    async with scripted_server(script) as (port, _):
        with pytest.raises(MailError) as raised:
            await plain(port, timeout=0.3).send(MAIL)
    assert type(raised.value) is MailError


async def test_a_server_that_is_not_there_is_tried_again() -> None:
    """A refused connection is no refused mail."""
    with pytest.raises(MailError) as raised:
        await plain(1).send(MAIL)
    assert type(raised.value) is MailError


@pytest.mark.parametrize(
    "recipient", ["a@b.c, d@e.f", "a@b.c\r\nRCPT TO:<d@e.f>", "a@b.c>\u2028", "Ada <a@b.c>", ""]
)
async def test_a_poisoned_recipient_puts_nothing_on_the_wire(recipient: str) -> None:
    """Not even a connection."""
    async with scripted_server([READY]) as (port, received):
        with pytest.raises(MailRefused):
            await plain(port).send(Mail("2" * 32, "x", "app@example.com", recipient, "s", "t"))
    assert not received


async def test_a_domain_that_is_not_ascii_goes_as_punycode() -> None:
    """Not every server speaks SMTPUTF8, and a domain does not need it."""
    recorder = Recorder()
    async with smtp_server(recorder) as port:
        await plain(port).send(
            Mail("2" * 32, "x", "app@example.com", "ada@bücher.example", "s", "t")
        )
    assert recorder.mails[0].rcpt_tos == ["ada@xn--bcher-kva.example"]


@pytest.mark.parametrize(
    "url",
    [
        "smtp://",
        "smtp://u:p@host?security=none",
        "smtp://user@host",
        "smtp://host?security=maybe",
        "smtp://host:port",
        "pop3://host",
        "mailgun://key@example.com?region=moon",
    ],
)
def test_urls_that_are_wrong_are_refused(url: str) -> None:
    """At construction, without repeating a password."""
    with pytest.raises(SettingsError) as raised:
        transport_from_url(url)
    assert "u:p" not in str(raised.value)


def test_urls_choose_port_and_security() -> None:
    """As providers print them."""
    assert "587, security='starttls'" in repr(transport_from_url("smtp://u:p%40@mail.example.com"))
    assert "465, security='tls'" in repr(transport_from_url("smtps://mail.example.com"))
    assert "2525, security='none'" in repr(
        transport_from_url("smtp://localhost:2525?security=none")
    )
