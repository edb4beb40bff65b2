"""SMTP (RFC 5321), with the extra `smtp`."""

import ssl
from typing import Any, Literal, get_args

from asgi_token_auth.exceptions import MailError, MailRefused, SettingsError
from asgi_token_auth.mail.formatting import as_email_message
from asgi_token_auth.mail.messages import Mail

Security = Literal["starttls", "tls", "none"]
PORTS: dict[Security, int] = {"starttls": 587, "tls": 465, "none": 25}


class SMTPTransport:
    """Sends through an SMTP server, a connection for each mail.

    Args:
        host: the server; its certificate must be for that name.
        port: by default 587, 465 or 25, as `security` says.
        username: to authenticate with; never sent without TLS.
        password: likewise.
        security: `starttls` (the server must offer it), `tls` from the first byte, or `none`,
            for a server on this machine.
        timeout: seconds for each answer of the server.
        tls_context: by default the system's roots, with the host name checked.

    Raises:
        SettingsError: a value is wrong, or the extra `smtp` is not installed.
    """

    def __init__(
        self,
        host: str,
        port: int | None = None,
        *,
        username: str | None = None,
        password: str | None = None,
        security: Security = "starttls",
        timeout: float = 10.0,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        _check_settings(host, security, username, password)
        self._host, self._port = host, port or PORTS[security]
        self._security = security
        self._options: dict[str, Any] = {
            "hostname": host,
            "port": self._port,
            "username": username,
            "password": password,
            "use_tls": security == "tls",
            "start_tls": security == "starttls",
            "tls_context": None if security == "none" else tls_context,
            "timeout": timeout,
        }

    def __repr__(self) -> str:
        return f"SMTPTransport({self._host!r}, {self._port}, security={self._security!r})"

    async def send(self, mail: Mail) -> None:
        """Hands `mail` over.

        Raises:
            MailRefused: the server takes no such recipient or text.
            MailError: the server can't be reached, is busy, or refuses the log-in.
        """
        import aiosmtplib

        message = as_email_message(mail)
        try:
            await aiosmtplib.send(
                message,
                sender=message["From"].addresses[0].addr_spec,
                recipients=[message["To"].addresses[0].addr_spec],
                **self._options,
            )
        except aiosmtplib.SMTPException as error:
            raise _mail_error(error) from error
        except (OSError, ValueError) as error:
            raise MailError(f"the SMTP server can't be used: {type(error).__name__}") from error


def _check_settings(host: str, security: str, username: str | None, password: str | None) -> None:
    try:
        import aiosmtplib  # noqa: F401
    except ImportError as error:
        raise SettingsError("SMTP needs: pip install 'asgi_token_auth[smtp]'") from error
    if not host or not host.isprintable() or " " in host:
        raise SettingsError("the SMTP host is missing or no host name")
    if security not in get_args(Security):
        raise SettingsError("SMTP security must be 'starttls', 'tls' or 'none'")
    if (username is None) != (password is None):
        raise SettingsError("SMTP needs both a user name and a password, or neither")
    if username is not None and security == "none":
        raise SettingsError("an SMTP password needs TLS: security 'starttls' or 'tls'")


def _mail_error(error: Exception) -> MailError:
    """What the recipient or the text is refused for stays refused; all else may be mended.

    The server's text is left out: it repeats addresses, and may repeat the mail.
    """
    import aiosmtplib

    code = getattr(error, "code", None)
    about_mail = isinstance(error, aiosmtplib.SMTPRecipientsRefused | aiosmtplib.SMTPDataError)
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        code = error.recipients[0].code
    if isinstance(error, aiosmtplib.SMTPNotSupported) and "SMTPUTF8" in str(error):
        return MailRefused("the SMTP server takes no address that is not ASCII")
    reason = f"the SMTP server answered {code}" if code else type(error).__name__
    if about_mail and code is not None and 500 <= code < 600:
        return MailRefused(reason)
    return MailError(reason)
