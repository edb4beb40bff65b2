"""What every fault needs: servers that may die, a directory, and how long to take."""

import contextlib
import dataclasses
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.faults import aftermath
from tests.faults.database_servers import DatabaseServer, MariaDB, PostgreSQL
from tests.faults.mailbox import Mailbox
from tests.faults.traffic import Crowd, crowded
from tests.faults.workers import Fleet, serving


@dataclasses.dataclass
class Outcome:
    """What a fault came to.

    Args:
        figures: what was measured, by name.
        breaches: invariants that did not hold; none, if all is well.
    """

    figures: dict[str, str]
    breaches: list[str]


class Rig:
    """Servers started when first asked for, and ended together.

    Args:
        quick: seconds instead of half minutes.
    """

    def __init__(self, *, quick: bool = False) -> None:
        self.quick = quick
        self._exits = contextlib.ExitStack()
        self._servers: dict[type[DatabaseServer], DatabaseServer] = {}
        self._runs = 0

    def __enter__(self) -> Self:
        # /tmp itself: the servers' own users must be able to reach it.
        self.directory = Path(self._exits.enter_context(tempfile.TemporaryDirectory()))
        self.directory.chmod(0o755)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in self._servers.values():
            server.end()
        self._exits.close()

    def new_directory(self) -> Path:
        self._runs += 1
        directory = self.directory / str(self._runs)
        directory.mkdir()
        return directory

    def postgresql(self) -> PostgreSQL:
        """A server that runs."""
        server = self._server(PostgreSQL)
        assert isinstance(server, PostgreSQL)
        return server

    def mariadb(self) -> MariaDB:
        server = self._server(MariaDB)
        assert isinstance(server, MariaDB)
        return server

    def sqlite(self) -> str:
        """The URL of a new file."""
        return f"sqlite:///{self.new_directory()}/faults.db"

    @contextlib.asynccontextmanager
    async def fleet(self, url: str, count: int = 2, **options: Any) -> AsyncIterator[Fleet]:
        """Workers on that database."""
        async with serving(url, self.new_directory(), count, **options) as fleet:
            yield fleet

    def _server(self, kind: type[DatabaseServer]) -> DatabaseServer:
        if kind not in self._servers:
            self._servers[kind] = kind(self.directory / kind.__name__.lower())
        if not self._servers[kind].is_running():
            self._servers[kind].start()
        return self._servers[kind]


Fault = Callable[[Rig], Awaitable[Outcome]]


@contextlib.asynccontextmanager
async def under_load(fleet: Fleet, lives: int = 8) -> AsyncIterator[Crowd]:
    """People who live on the fleet while the block runs."""
    async with crowded(fleet, Mailbox(fleet.directory / "mails"), lives) as crowd:
        yield crowd


async def outcome(fleet: Fleet, crowd: Crowd | None = None, **figures: object) -> Outcome:
    """The figures of a run, with what must hold after it checked."""
    breaches = await aftermath.check(fleet, crowd)
    counts = {
        "answers": sum(fleet.ledger.statuses.values()),
        "503": fleet.ledger.statuses[503],
        "no answer": fleet.ledger.statuses[0],
        "slowest s": round(fleet.ledger.slowest, 2),
    }
    if crowd is not None:
        counts["lives"] = len(crowd.people)
    shown = {name.replace("_", " "): str(value) for name, value in {**figures, **counts}.items()}
    return Outcome(shown, breaches)
