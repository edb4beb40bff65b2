"""A user's live tokens: listing and naming them, and logging out."""

from typing import Literal

from asgi_token_auth.accounts.fields import BLANK, INVALID, is_blank, session_name_fault
from asgi_token_auth.accounts.parts import Client, Parts
from asgi_token_auth.exceptions import InvalidFields, SessionNotFound
from asgi_token_auth.storage.database import Session
from asgi_token_auth.storage.tokens import AUTHENTICATION, Token
from asgi_token_auth.storage.users import User
from asgi_token_auth.tokens import digest, is_digest

Scope = Literal["current", "others", "all"]
SCOPES: tuple[Scope, ...] = ("current", "others", "all")


async def list_sessions(parts: Parts, user: User) -> list[Token]:
    """The user's live access tokens, newest first.

    Raises:
        DatabaseUnavailable: try again.
    """
    return await parts.database.read(
        lambda session: parts.tokens.of_user(session, user.id, parts.now())
    )


async def log_out(
    parts: Parts, user: User, current: str | None, scope: Scope, client: Client
) -> int:
    """Ends the token with the digest `current`, the `others`, or `all`; how many ended.

    Raises:
        DatabaseUnavailable: try again.
        ValueError: no token is given, and the scope is not `all`.
    """
    if current is None and scope != "all":
        raise ValueError(f"scope {scope!r} needs a token to start from")
    only = current if scope == "current" else None
    but = current if scope == "others" else None

    async def end(session: Session) -> int:
        ended = await parts.tokens.revoke(session, user.id, (AUTHENTICATION,), only=only, but=but)
        if ended and scope == "current":
            await parts.events.record(session, "logged_out", user.id, client, token=current)
        elif ended:
            await parts.events.record(
                session, "sessions_revoked", user.id, client, token=current, detail=scope
            )
        return ended

    return await parts.database.write(end)


async def forget(parts: Parts, user_id: object) -> None:
    """Tells every process that something about the user changed.

    Raises:
        DatabaseUnavailable: try again.
    """
    key = parts.users.parse_id(user_id if isinstance(user_id, int) else str(user_id))

    async def tell(session: Session) -> None:
        session.forget(key)

    if key is not None:
        await parts.database.write(tell)


async def revoke_session(
    parts: Parts, user: User, session_id: str, current: str | None, client: Client
) -> None:
    """Ends one of the user's own tokens, named by its id in the list or by its `token_id` claim;
    `current` is the digest of the token that asks, None in scripts.

    Raises:
        SessionNotFound: the user has no such token.
        DatabaseUnavailable: try again.
    """
    for named in _digests(session_id):
        if named == current and await log_out(parts, user, named, "current", client):
            return
        if named != current and await _end_one(parts, user, named, current, client):
            return
    raise SessionNotFound


async def rename_session(parts: Parts, user: User, session_id: str, name: object) -> None:
    """Names one of the user's own tokens, so that its owner knows it in the list.

    Raises:
        InvalidFields: the name is blank, too long, or not one line of text.
        SessionNotFound: the user has no such token.
        DatabaseUnavailable: try again.
    """
    fault = BLANK if is_blank(name) else session_name_fault(name)
    if fault or not isinstance(name, str):
        raise InvalidFields({"name": fault or INVALID})
    given, now = name.strip(), parts.now()

    async def rename(session: Session) -> bool:
        for named in _digests(session_id):
            if await parts.tokens.rename(session, user.id, named, given, now):
                return True
        return False

    if not await parts.database.write(rename):
        raise SessionNotFound


def _digests(session_id: str) -> list[str]:
    """What a token may be named by: the id in the list, or its `token_id` claim.

    What can't be an id is looked for as a claim: a NUL in a query is an error on PostgreSQL.
    """
    return [named for named in (session_id, digest(session_id)) if is_digest(named)]


async def _end_one(
    parts: Parts, user: User, named: str, current: str | None, client: Client
) -> int:
    async def end(session: Session) -> int:
        ended = await parts.tokens.revoke(session, user.id, (AUTHENTICATION,), only=named)
        if ended:
            await parts.events.record(
                session, "sessions_revoked", user.id, client, token=current, detail=named
            )
        return ended

    return await parts.database.write(end)
