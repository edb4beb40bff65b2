"""Does anything get lost, or grow, in half an hour of everything at once?

    python -m benchmarks.soak [--minutes N] [--lives N] [--database sqlite]

Three uvicorn workers on a PostgreSQL of its own (or on an SQLite file). People sign up, read their
mail, confirm, log in, use their tokens, talk over WebSockets, log out, forget and change their
passwords, and delete their accounts, as fast as the machine lets them. Meanwhile two of the workers
are ended and replaced at random, by SIGTERM or SIGKILL, and the database is bounced, with and
without a goodbye. The third worker stays, so that what grows in it shows.

What must hold (see `tests.faults`): nothing acknowledged is lost, each mail is sent or a dead
letter, no revoked token is taken beyond the bound, no 5xx but 503; what the old worker takes of the
machine is no more in the last third than in the first; and a purge leaves nothing behind.
Needs the extra `test`, and the servers' programs; the exit status says whether all held.
"""

import argparse
import asyncio
import json
import random
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from asgi_token_auth import TokenAuth
from asgi_token_auth.accounts.purge import purge_news
from asgi_token_auth.testing import SECRET_KEY, SettableClock
from tests.faults import aftermath
from tests.faults.mailbox import Mailbox
from tests.faults.rig import Rig
from tests.faults.traffic import Crowd, crowded
from tests.faults.workers import Fleet

SAMPLE_SECONDS = 2.0
LONGEST_CALM_SECONDS = 12.0
BOUNCE_EVERY_SECONDS = 60.0
TABLES = ("users", "tokens", "outbox", "revocations")
MOST_CHECKED = 5000
# How much more of each the last third may show: a share, and some to spare.
GROWTH = {
    "rss": (1.15, 8 * 2**20),
    "descriptors": (1.0, 10),
    "threads": (1.0, 4),
    "tasks": (1.0, 20),
    "connections": (1.0, 4),
}

Sample = dict[str, float]


class Weather:
    """What befalls the fleet, and how often it did."""

    def __init__(self, rig: Rig, fleet: Fleet, *, on_postgresql: bool) -> None:
        self._rig = rig
        self._fleet = fleet
        self._on_postgresql = on_postgresql
        self._bounced_at = time.monotonic()
        self.happened: Counter[str] = Counter()

    async def strike(self) -> None:
        """One thing, at random."""
        due = time.monotonic() - self._bounced_at > BOUNCE_EVERY_SECONDS
        if self._on_postgresql and due:
            await self._bounce()
            self._bounced_at = time.monotonic()
            return
        how = random.choice((signal.SIGTERM, signal.SIGKILL))
        worker = random.choice(self._fleet.workers[1:])
        if random.random() < 0.5:
            await worker.restart(how)  # the balancer knows
        else:
            worker.send(how)
            await worker.ended()
            worker.start()
            await worker.is_up()
        self.happened[f"{how.name} for a worker"] += 1

    async def _bounce(self) -> None:
        # SIGINT: what is under way is undone, and everybody is told. SIGQUIT: nobody is.
        how = random.choice((signal.SIGINT, signal.SIGQUIT))
        database = self._rig.postgresql()
        await asyncio.to_thread(database.end, how)
        await asyncio.sleep(random.uniform(0, 3))
        await asyncio.to_thread(database.start)
        self.happened[f"{how.name} for the database"] += 1


async def soak(options: argparse.Namespace) -> tuple[Mapping[str, object], list[str]]:
    """The figures, and what did not hold."""
    on_postgresql = options.database == "postgresql"
    with Rig() as rig:
        url = rig.postgresql().url if on_postgresql else rig.sqlite()
        async with rig.fleet(url, 3) as fleet:
            mailbox = Mailbox(fleet.directory / "mails")
            weather = Weather(rig, fleet, on_postgresql=on_postgresql)
            until = time.monotonic() + options.minutes * 60
            samples: list[Sample] = []
            async with crowded(fleet, mailbox, options.lives, mortality=0.9) as crowd:
                watch = asyncio.create_task(_watch(fleet, samples, until))
                while time.monotonic() < until:
                    await asyncio.sleep(random.uniform(0, LONGEST_CALM_SECONDS))
                    await weather.strike()
                    _say(until, fleet, crowd)
                await watch
            breaches = await aftermath.check(fleet, crowd, most=MOST_CHECKED)
            breaches += await _people(fleet, crowd)
            mailbox.look()
            growth, grown = _growth(samples)
            figures = {
                "minutes": options.minutes,
                "database": options.database,
                "answers": dict(sorted(fleet.ledger.statuses.items())),
                "lives": len(crowd.people),
                "tokens revoked and tried again": len(fleet.ledger.revoked),
                "mails": len(mailbox.delivered),
                "mails that came twice": sum(n > 1 for n in mailbox.delivered.values()),
                "slowest answer, s": round(fleet.ledger.slowest, 2),
                "happened": dict(weather.happened),
                "first third, last third": growth,
                "rows": await _rows(url),
            }
        # The workers are gone: whatever is left, nobody else purges.
        figures["rows after a purge"] = left = await _purged(url)
        breaches += grown + [f"{left} rows are left" for each in left.values() if each]
        return figures, breaches


def _say(until: float, fleet: Fleet, crowd: Crowd) -> None:
    left = max(0.0, until - time.monotonic())
    answers, breaches = sum(fleet.ledger.statuses.values()), len(fleet.ledger.breaches)
    print(f"{left:5.0f} s, {len(crowd.people)} lives, {answers} answers, {breaches} breaches")


async def _watch(fleet: Fleet, samples: list[Sample], until: float) -> None:
    """What the worker that stays takes of the machine."""
    while time.monotonic() < until:
        await asyncio.sleep(SAMPLE_SECONDS)
        sample = await fleet.workers[0].gauges()
        connections = await _connections(fleet.database_url)
        if sample and connections is not None:
            samples.append({**sample, "connections": connections})


async def _connections(url: str) -> int | None:
    """How many the database counts; None, while it is down."""
    dialect = url.partition(":")[0]
    if dialect not in aftermath.OPEN:
        return 0
    try:
        return int(await aftermath.ask(url, aftermath.OPEN[dialect]))
    except Exception:
        return None


def _growth(samples: list[Sample]) -> tuple[dict[str, str], list[str]]:
    """Medians of the first third and the last, and which of them grew."""
    third = max(1, len(samples) // 3)
    shown, grown = {}, []
    for name, (share, spare) in GROWTH.items():
        first = statistics.median(sample[name] for sample in samples[:third])
        last = statistics.median(sample[name] for sample in samples[-third:])
        shown[name] = f"{_human(name, first)}, {_human(name, last)}"
        if last > first * share + spare:
            grown.append(f"{name} grew: {shown[name]}")
    return shown, grown


def _human(name: str, value: float) -> str:
    return f"{value / 2**20:.1f} MiB" if name == "rss" else f"{value:.0f}"


async def _people(fleet: Fleet, crowd: Crowd) -> list[str]:
    """Whether as many accounts exist as were told that they do."""
    living = [person for person in crowd.people if not person.is_deleted]
    certain = sum(person.exists and person.is_settled for person in living)
    found = int(await aftermath.ask(fleet.database_url, "SELECT COUNT(*) FROM users"))
    if certain <= found <= len(living):
        return []
    return [f"I2 {found} accounts, and not {certain} to {len(living)}"]


async def _rows(url: str) -> dict[str, int]:
    return {
        table: int(await aftermath.ask(url, f"SELECT COUNT(*) FROM {table}"))  # noqa: S608
        for table in TABLES
    }


async def _purged(url: str) -> dict[str, int]:
    """What is left of the tables that a purge empties, once it is due for all they hold."""
    clock = SettableClock(datetime.now(UTC) + timedelta(days=31))
    auth = TokenAuth(
        database=url, secret_key=SECRET_KEY, email_sender="app@example.com", clock=clock
    )
    await auth.accounts.purge_expired()
    await auth.outbox.purge(sent=timedelta(days=1), dead=timedelta(days=30))
    while await purge_news(auth.accounts._parts):
        pass
    await auth.shutdown()
    rows = await _rows(url)
    del rows["users"]
    return rows


def main() -> int:
    """0, if everything held."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--lives", type=int, default=12, help="people at a time")
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    figures, breaches = asyncio.run(soak(parser.parse_args()))
    print(json.dumps(figures, indent=1))
    for breach in breaches:
        print(f"NOT SO: {breach}")
    print("everything held" if not breaches else f"{len(breaches)} things did not hold")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
