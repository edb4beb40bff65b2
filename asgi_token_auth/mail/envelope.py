"""Sealing: a mail's text holds a live token, and databases are dumped, backed up and replicated."""

import json
from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from asgi_token_auth.exceptions import MailRefused
from asgi_token_auth.mail.messages import Message


class Envelope:
    """Authenticated encryption under keys derived from the secret keys (RFC 5869, Fernet).

    Args:
        keys: the secret keys; the first seals, all open.
    """

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        self._fernet = MultiFernet([Fernet(_derived(key)) for key in keys])

    def seal(self, recipient: str, message: Message) -> str:
        """The message for that recipient alone."""
        sealed = [recipient, message.subject, message.text, message.html]
        return self._fernet.encrypt(json.dumps(sealed).encode()).decode()

    def open(self, sealed: str, recipient: str) -> Message:
        """The message, if it was sealed for that recipient.

        Raises:
            MailRefused: no key we have opens it, or it was sealed for another: whoever can write
                to the table must not be able to have another's token mailed to them.
        """
        try:
            sealed_for, subject, text, html = json.loads(self._fernet.decrypt(sealed.encode()))
        except (InvalidToken, ValueError) as error:
            raise MailRefused("the sealed mail can't be opened with the secret keys") from error
        if sealed_for != recipient:
            raise MailRefused("the mail was sealed for another recipient")
        return Message(subject, text, html)


def _derived(key: bytes) -> bytes:
    derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"asgi_token_auth outbox 1")
    return urlsafe_b64encode(derivation.derive(key))
