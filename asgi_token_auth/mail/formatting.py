"""A mail as RFC 5322 has it, and the last check before the wire."""

from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

import idna

from asgi_token_auth.exceptions import MailRefused
from asgi_token_auth.mail.messages import Mail

LONGEST_LINE = 998  # RFC 5322, section 2.1.1


def as_email_message(mail: Mail, *, legible: bool = False) -> EmailMessage:
    """The mail with its headers; `legible`: for developers, with its kind and text unencoded.

    Raises:
        MailRefused: an address or the subject would become more than that.
    """
    check_subject(mail.subject)
    message = EmailMessage()
    try:
        message["From"] = mail.sender
        message["To"] = Address(addr_spec=wire_address(mail.recipient))
        message["Subject"] = mail.subject
        message["Message-ID"] = message_id(mail)
    except MailRefused:
        raise
    except Exception as error:
        raise MailRefused("a header of the mail is not acceptable") from error
    message["Date"] = format_datetime(mail.created_at)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    if legible:
        message["X-Kind"] = mail.kind
    plain = legible and max(map(len, mail.text.splitlines()), default=0) < LONGEST_LINE // 4
    message.set_content(mail.text, cte="8bit" if plain else "quoted-printable")
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    return message


def message_id(mail: Mail) -> str:
    """The same on every try: a mailbox that gets the mail twice can tell."""
    return f"<{mail.id}@{mail.sender.rpartition('@')[2].rstrip('>')}>"


def wire_address(address: str) -> str:
    """The address with its domain in ASCII (RFC 5891), once it is sure to be one address.

    Raises:
        MailRefused: it is more, or less, than one.
    """
    check_recipient(address)
    local, _, domain = address.rpartition("@")
    if domain.isascii():
        return address
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode()}"
    except idna.IDNAError as error:
        raise MailRefused("the recipient's domain is none") from error


def check_recipient(address: str) -> None:
    """Exactly one address and nothing around it: a comma or line end would make it two.

    Raises:
        MailRefused: it is more, or less, than one.
    """
    if not address.isprintable() or address.count("@") != 1 or set(address) & set(' ,;:<>()"\\'):
        raise MailRefused("the recipient is not one plain address")


def check_subject(subject: str) -> None:
    """A line end in it would begin another header.

    Raises:
        MailRefused: it has control characters.
    """
    if not subject.isprintable():
        raise MailRefused("the subject has control characters")
