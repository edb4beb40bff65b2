"""Templates of the application's own: one by one, and in the reader's language."""

from pathlib import Path
from typing import Any

import pytest
from conftest import Service, ServiceFactory, running_service

from asgi_token_auth import Emails, SettingsError, TokenAuth
from asgi_token_auth.testing import Mailbox, settings, token_in

ADA = "ada@example.com"


async def sign_up(service: Service, language: str = "") -> Any:
    user = {"user": {"email": ADA, "password": "secret"}}
    headers = {"Accept-Language": language} if language else {}
    response = await service.client.post("/api/users", json=user, headers=headers)
    assert response.status_code == 200
    return await service.mailbox.receive(ADA)


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        path = directory / name.replace("__", "/").replace("_txt", ".txt").replace("_html", ".html")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


async def test_every_message_has_text_and_html_that_say_the_same(
    start_service: ServiceFactory,
) -> None:
    """The token is in both, and so is a link."""
    service = await start_service(confirmation_url="https://app.example.com/#/{user_id}/{token}")
    mail = await sign_up(service)

    link = f"https://app.example.com/#/1/{token_in(mail)}"
    assert link in mail.text
    assert f'href="{link}"' in mail.html


async def test_one_template_is_replaced_and_the_rest_stay(
    start_service: ServiceFactory, tmp_path: Path
) -> None:
    """HTML that no longer says what the text says is left out."""
    templates = write(tmp_path / "mails", welcome_txt="Hi! {{ token_name }}: {{ token }}")
    service = await start_service(mail_templates=templates)
    mail = await sign_up(service)

    assert mail.text.startswith("Hi! confirmation_token: ")
    assert (mail.subject, mail.html) == ("Please confirm your email address", None)
    await service.call("POST", "/api/password_resets", {"email": ADA})
    reset = await service.mailbox.receive(ADA)
    assert (reset.subject, reset.html is None) == ("Reset your password", False)


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("de", "Willkommen"),
        ("de-AT,en;q=0.5", "Willkommen"),
        ("en;q=0.1,DE", "Willkommen"),
        ("fr,pt-br;q=0.9", "Bem-vindo"),
        ("pt", "Welcome"),
        ("de;q=0", "Welcome"),
        ("../../etc/passwd", "Welcome"),
        (";;,=q;q=x,de;level=1", "Welcome"),
        ("", "Welcome"),
    ],
)
async def test_the_readers_language(
    sqlite_url: str, tmp_path: Path, accepted: str, expected: str
) -> None:
    """As the request accepts; what can't be read is no language."""
    templates = write(
        tmp_path / "mails",
        **{
            "welcome.subject_txt": "Welcome",
            "de__welcome.subject_txt": "Willkommen\n",
            "pt-BR__welcome.subject_txt": "Bem-vindo",
        },
    )
    async with running_service(sqlite_url, mail_templates=str(templates)) as service:
        assert (await sign_up(service, accepted)).subject == expected


async def test_the_applications_own_choice_of_language(
    start_service: ServiceFactory, tmp_path: Path
) -> None:
    """From the user, say; what names no directory is passed over."""
    templates = write(tmp_path / "mails", de__welcome_txt="Hallo {{ user.email }} {{ language }}")
    service = await start_service(
        mail_templates=templates,
        mail_language=lambda user, request: "de" if user.email == ADA else None,
    )
    mail = await sign_up(service, "en")
    assert (mail.text, mail.html) == (f"Hallo {ADA} de", None)


async def test_html_is_escaped_and_a_subject_is_one_line(
    start_service: ServiceFactory, tmp_path: Path
) -> None:
    """A username is a stranger's text."""
    templates = write(
        tmp_path / "mails",
        welcome_html="<p>{{ user.username }}</p>",
        **{"welcome.subject_txt": "Hello\n{{ user.username }}\r\nBcc: x@y.z"},
    )
    service = await start_service(mail_templates=templates)
    await service.sign_up(ADA, username="<b>ada</b>")
    mail = await service.mailbox.receive(ADA)

    assert "<p>&lt;b&gt;ada&lt;/b&gt;</p>" in mail.html
    assert mail.subject == "Hello <b>ada</b> Bcc: x@y.z"


async def test_a_builder_of_ones_own_brings_its_html_or_none(
    start_service: ServiceFactory,
) -> None:
    """A subclass and a dictionary alike."""

    class Own(Emails):
        def welcome_body(self, user: Any, token: str, request: Any) -> str:
            return super().welcome_body(user, token, request).replace("Welcome", "Hello")

        def password_reset_body(self, user: Any, token: str, request: Any) -> str:
            return f"token={token}"

        def password_reset_html(self, user: Any, token: str, request: Any) -> str:
            return f"<b>{token}</b>"

    service = await start_service(emails=Own)
    mail = await sign_up(service)
    assert (mail.text[:6], mail.html) == ("Hello!", None)
    await service.call("POST", "/api/password_resets", {"email": ADA})
    reset = await service.mailbox.receive(ADA)
    assert reset.html == f"<b>{token_in(reset)}</b>"


async def test_a_long_mail_is_kept_whole(start_service: ServiceFactory, tmp_path: Path) -> None:
    """Styled HTML, on a database whose TEXT would end at 64 KiB."""
    long = f"<style>{'p { color: red } ' * 20_000}</style>{{{{ token }}}}"
    service = await start_service(mail_templates=write(tmp_path / "mails", welcome_html=long))
    mail = await sign_up(service)
    assert mail.html.endswith(token_in(mail))


@pytest.mark.parametrize("text", ["{% if %}", "{{ token"])
def test_a_broken_template_fails_at_construction(tmp_path: Path, text: str) -> None:
    """Not at the first sign-up."""
    write(tmp_path / "mails", welcome_txt=text)
    with pytest.raises(SettingsError, match=r"welcome\.txt"):
        TokenAuth(
            database="sqlite:///x.db",
            mail_templates=tmp_path / "mails",
            **settings(Mailbox()),
        )
    with pytest.raises(SettingsError, match="not a directory"):
        TokenAuth(
            database="sqlite:///x.db", mail_templates=tmp_path / "none", **settings(Mailbox())
        )
