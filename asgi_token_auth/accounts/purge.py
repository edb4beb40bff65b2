"""Expired tokens leave the database."""

from asgi_token_auth.accounts.parts import Parts

BATCH = 200


async def purge_batch(parts: Parts, limit: int = BATCH) -> int:
    """Deletes up to `limit` expired tokens; how many there were."""
    return await parts.database.write(
        lambda session: parts.tokens.purge_expired(session, parts.now(), limit)
    )


async def purge_expired(parts: Parts) -> int:
    """Deletes all expired tokens, in transactions short enough to be in nobody's way.

    Raises:
        DatabaseUnavailable: try again.
    """
    total = 0
    while purged := await purge_batch(parts):
        total += purged
    return total
