"""What was mailed, for development: whoever sees this page can take over every account."""

import asyncio
import html
from email import policy
from email.parser import BytesParser
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse

CSP = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
STYLE = "body{font:1rem/1.5 system-ui;max-width:48rem;margin:2rem auto;padding:0 1rem}"
MOST = 50


class Mailbox:
    """The mails in a directory of .eml files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def page(self, request: Request) -> HTMLResponse:
        """GET /dev/mailbox"""
        mails = "".join(map(_article, await asyncio.to_thread(self._read)))
        content = mails or "<p>No mail yet: sign up first.</p>"
        head = f"<!doctype html><html lang=en><title>Mailbox</title><style>{STYLE}</style>"
        return HTMLResponse(f"{head}<main><h1>Mailbox</h1>{content}</main>", headers=CSP)

    async def json(self, request: Request) -> JSONResponse:
        """GET /dev/mailbox.json"""
        return JSONResponse({"mails": await asyncio.to_thread(self._read)})

    def _read(self) -> list[dict[str, str]]:
        """Newest first."""
        paths = sorted(self._directory.glob("[!.]*.eml"), key=lambda path: -path.stat().st_mtime_ns)
        return [_mail(path) for path in paths[:MOST]]


def _mail(path: Path) -> dict[str, str]:
    message = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
    return {
        "to": str(message["To"]),
        "subject": str(message["Subject"]),
        "body": str(message.get_content()),
    }


def _article(mail: dict[str, str]) -> str:
    subject, to, body = (html.escape(mail[name]) for name in ("subject", "to", "body"))
    return f"<article><h2>{subject}</h2><p>To {to}</p><pre>{body}</pre></article>"
