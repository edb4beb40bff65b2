"""Tokens that expired, or died by disuse, leave the database."""

from asgi_token_auth.accounts.parts import Parts
from asgi_token_auth.storage.revocations import KEPT_SECONDS

BATCH = 200
STRIDE = 500  # rows looked at in one step of the walk that finds unused tokens


async def purge_batch(parts: Parts, limit: int = BATCH) -> int:
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


async def purge_news(parts: Parts, limit: int = BATCH) -> int:
    """Deletes up to `limit` news that every process has read or will never ask for; how many."""
    before = parts.now() - int(KEPT_SECONDS * 1000)
    return await parts.database.write(
        lambda session: parts.revocations.purge(session, before, limit)
    )


async def purge_expired(parts: Parts) -> int:
    """Deletes all tokens that expired or died by disuse, in transactions short enough to be in
    nobody's way.

    Raises:
        DatabaseUnavailable: try again.
    """
    total = 0
    while purged := await purge_batch(parts):
        total += purged
    return total + await _purge_all_idle(parts)


async def _purge_all_idle(parts: Parts) -> int:
    total, after = await purge_idle(parts, "")
    while after:
        purged, after = await purge_idle(parts, after)
        total += purged
    return total
