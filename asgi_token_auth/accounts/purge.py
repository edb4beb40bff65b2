"""What is over leaves the database: a batch at a time, so that each is in nobody's way.

Any number of processes may purge side by side: what one of them has locked, the others pass by.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from asgi_token_auth.accounts.parts import Parts
from asgi_token_auth.storage.revocations import KEPT_SECONDS

BATCH = 200
STRIDE = 500  # rows looked at in one step of the walk that finds unused tokens
SENT_MAILS_STAY = timedelta(days=1)
DEAD_LETTERS_STAY = timedelta(days=30)

PurgeBatch = Callable[[Parts], Awaitable[int]]


async def purge_tokens(parts: Parts, limit: int = BATCH) -> int:
    """Deletes up to `limit` expired tokens; how many there were."""
    return await parts.database.write(
        lambda session: parts.tokens.purge_expired(session, parts.now(), limit)
    )


async def purge_idle(parts: Parts, after: str) -> tuple[int, str]:
    """One step of a walk through all tokens, deleting those that died by disuse: how many, and
    where the next step begins ("": at the beginning)."""
    return await parts.database.write(
        lambda session: parts.tokens.purge_idle(session, parts.now(), after, STRIDE)
    )


async def purge_mails(parts: Parts, limit: int = BATCH) -> int:
    """Deletes up to `limit` mails sent a day ago, and dead letters of last month; how many."""
    return await parts.outbox.purge_batch(sent=SENT_MAILS_STAY, dead=DEAD_LETTERS_STAY, limit=limit)


async def purge_news(parts: Parts, limit: int = BATCH) -> int:
    """Deletes up to `limit` news that every process has read or will never ask for; how many."""
    before = parts.now() - int(KEPT_SECONDS * 1000)
    return await parts.database.write(
        lambda session: parts.revocations.purge(session, before, limit)
    )


async def purge_events(parts: Parts, limit: int = BATCH) -> int:
    """Deletes up to `limit` events older than `events_lifetime`; how many."""
    return await parts.events.purge_batch(parts.settings.events_lifetime, limit)


PURGES: dict[str, PurgeBatch] = {
    "tokens": purge_tokens,
    "mails": purge_mails,
    "events": purge_events,
    "revocations": purge_news,
}


async def purge_all(parts: Parts) -> dict[str, int]:
    """Deletes all that is over; how many rows of each table.

    Raises:
        DatabaseUnavailable: try again.
    """
    purged = {name: await _all(parts, batch) for name, batch in PURGES.items()}
    purged["tokens"] += await _purge_all_idle(parts)
    return purged


async def purge_expired(parts: Parts) -> int:
    """Deletes all tokens that expired or died by disuse; how many there were.

    Raises:
        DatabaseUnavailable: try again.
    """
    return await _all(parts, purge_tokens) + await _purge_all_idle(parts)


async def _all(parts: Parts, batch: PurgeBatch) -> int:
    total = 0
    while purged := await batch(parts):
        total += purged
    return total


async def _purge_all_idle(parts: Parts) -> int:
    total, after = await purge_idle(parts, "")
    while after:
        purged, after = await purge_idle(parts, after)
        total += purged
    return total
