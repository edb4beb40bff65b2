"""Users' mailboxes: the files that the workers write."""

import asyncio
import email
import email.policy
import re
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

TOKEN = re.compile(r"_token: (\S+)")
USER_ID = re.compile(r"user id: (\S+)")
POLL_SECONDS = 0.05


class Letter(NamedTuple):
    """What a user makes of a mail."""

    kind: str
    token: str
    user_id: str


class Mailbox:
    """All mails in a directory, which is emptied: a long run writes many.

    `delivered` counts the files of each mail's name: more than one, where it was sent again.

    Args:
        directory: of the workers' `FileTransport`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.delivered: Counter[str] = Counter()
        self._letters: dict[str, list[Letter]] = {}
        self._looked_at = 0.0
        self._looking = asyncio.Lock()

    async def receive(self, address: str, kind: str, patience: float) -> Letter | None:
        """The newest mail of that kind to an address, once there is one; it is taken out."""
        try:
            async with asyncio.timeout(patience):
                while (found := await self._take(address, kind)) is None:  # noqa: ASYNC110
                    await asyncio.sleep(POLL_SECONDS)
                return found
        except TimeoutError:
            return None

    async def _take(self, address: str, kind: str) -> Letter | None:
        async with self._looking:
            if time.monotonic() - self._looked_at > POLL_SECONDS:
                await asyncio.to_thread(self.look)
                self._looked_at = time.monotonic()
        letters = self._letters.get(address, [])
        for letter in reversed(letters):
            if letter.kind == kind:
                self._letters[address] = [each for each in letters if each.kind != kind]
                return letter
        return None

    def look(self) -> None:
        """Reads what has come."""
        for path in self._directory.glob("[!.]*.eml"):
            self.delivered[path.name] += 1
            self._file(path.read_bytes())
            path.unlink()
            path.with_suffix(".html").unlink(missing_ok=True)

    def _file(self, content: bytes) -> None:
        message = email.message_from_bytes(content, policy=email.policy.default)
        text = message.get_content()
        token, user_id = TOKEN.search(text), USER_ID.search(text)
        letter = Letter(
            str(message["X-Kind"]), token[1] if token else "", user_id[1] if user_id else ""
        )
        self._letters.setdefault(str(message["To"]), []).append(letter)
