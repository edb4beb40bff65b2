"""What was mailed, for development: whoever sees this page can take over every account."""

import asyncio
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse

from examples.messages.pages import FILES

MOST = 50


class Mailbox:
    """The mails in a directory of .eml files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        environment = Environment(loader=FileSystemLoader(FILES), autoescape=True)
        self._template = environment.get_template("mailbox.html")

    async def page(self, request: Request) -> HTMLResponse:
        """GET /dev/mailbox"""
        mails = await asyncio.to_thread(self._read)
        content = self._template.render(mails=mails)
        return HTMLResponse(content, headers={"Cache-Control": "no-store"})

    async def json(self, request: Request) -> JSONResponse:
        """GET /dev/mailbox.json"""
        return JSONResponse({"mails": await asyncio.to_thread(self._read)})

    def _read(self) -> list[dict[str, str]]:
        """Newest first."""
        paths = sorted(self._directory.glob("[!.]*.eml"), key=lambda path: -path.stat().st_mtime_ns)
        return [_mail(path) for path in paths[:MOST]]


def _mail(path: Path) -> dict[str, str]:
    message = BytesParser(EmailMessage, policy=policy.default).parsebytes(path.read_bytes())
    body = message.get_body(("plain", "html"))
    return {
        "id": path.stem,
        "to": str(message["To"]),
        "subject": str(message["Subject"]),
        "sent_at": datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds"),
        "body": "" if body is None else str(body.get_content()),
    }
