"""Counting attempts before they cost a hash, a mail or a guess; and letting owners in whom
strangers would lock out (the "device cookies" of OWASP).

Counted is what is well formed: a request that is refused for its form alone costs nothing, and
must not use up what others behind the same address need. A limit that refuses does not count,
so attempts come back with time, whoever goes on trying. A login that succeeds was no guess, and
gives its own attempt on the account back; it clears nothing else: whoever has one account could
else guess at all others (allauth 65.8.1).
"""

import functools
import unicodedata
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from asgi_token_auth.accounts.parts import Client, Parts
from asgi_token_auth.addresses import network_of
from asgi_token_auth.exceptions import InvalidToken, Throttled
from asgi_token_auth.storage.database import Session
from asgi_token_auth.storage.users import UserId
from asgi_token_auth.tokens import Claims

LoginName = dict[str, str | None]
"""An e-mail address or a username by the name of its field, as `Users.by_login` takes it."""


COUNTS_ATTEMPTS = "counts_attempts"  # a function's attribute

P = ParamSpec("P")
T = TypeVar("T")


def limited(
    operation: Callable[Concatenate[Parts, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Parts, P], Coroutine[Any, Any, T]]:
    """Tells of attempts that were too many: of an operation whose last argument is its client."""

    @functools.wraps(operation)
    async def told(parts: Parts, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await operation(parts, *args, **kwargs)
        except Throttled:
            parts.events.throttled(operation.__name__, cast(Client, args[-1]))
            raise

    told.__dict__[COUNTS_ATTEMPTS] = True
    return told


def is_limited(operation: Callable[..., Any] | None) -> bool:
    """Whether the operation counts attempts, and so may raise `Throttled`."""
    return COUNTS_ATTEMPTS in getattr(operation, "__dict__", {})


async def count_by_address(parts: Parts, action: str, client: Client) -> None:
    """Counts an attempt of the client's address, if it has one: a script has none, nor has what
    comes from this machine (see `network_of`).

    Raises:
        Throttled: there were too many.
    """
    network = network_of(client.address)
    if network is not None:
        await parts.throttle.count(f"{action}_by_address", network)


async def count_by_account(parts: Parts, action: str, **account: object) -> None:
    """Counts an attempt on an account, by what was typed, whether there is one or not.

    By the name and not by the user's id: a login by username that uses up the same user's e-mail
    address would tell that the two belong together, and that there is a user. In one spelling for
    upper and lower case and for accents: where the application's own table has a collation that
    sees no such difference, each spelling would be a limit of its own on one account.

    Raises:
        Throttled: there were too many.
    """
    for field, value in account.items():
        await parts.throttle.count(f"{action}_by_account", field, _plain(str(value)))


def _plain(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(each for each in letters if not unicodedata.combining(each)).casefold()


async def admit(
    parts: Parts, action: str, login: LoginName, typed: str, client: Client
) -> tuple[str, ...]:
    """Counts an attempt by address and account; a known device of the account passes both. What
    it gives is what `Throttle.give_back` takes.

    A device is known by a token that we signed for the user, be it expired or revoked; and,
    where it is the account's limit that is used up, by a network from which the user is logged
    in; not where `disclose_accounts` is "never", as it tells all in that network who is. It has a
    counter of its own.

    Raises:
        Throttled: there were too many, and the device is unknown, or used its own attempts up.
        DatabaseUnavailable: try again.
    """
    by_network = False
    try:
        await count_by_address(parts, action, client)
        by_network = parts.settings.disclose_accounts != "never"
        counted = f"{action}_by_account", *login, _plain(typed)
        await parts.throttle.count(*counted)
    except Throttled:
        device = await _known_device(parts, login, client, by_network=by_network)
        if device is None:
            raise
        counted = f"{action}_by_device", *device
        await parts.throttle.count(*counted)
    return counted


async def _known_device(
    parts: Parts, login: LoginName, client: Client, *, by_network: bool
) -> tuple[str, ...] | None:
    claims = _claims(parts, client)
    if claims is None and not by_network:
        return None
    # The same two queries for an account that is none: the time must not tell.
    user_id, addresses = await parts.database.read(
        lambda session: _whereabouts(parts, session, login)
    )
    if claims is not None and parts.users.parse_id(claims.user_id) == user_id:
        return "token", claims.token_id
    network = network_of(client.address)
    if by_network and network is not None and network in map(network_of, addresses):
        return "network", str(user_id), network
    return None


def _claims(parts: Parts, client: Client) -> Claims | None:
    if client.device is None:
        return None
    try:
        return parts.signer.check(client.device, expired_too=True)
    except InvalidToken:
        return None


async def _whereabouts(
    parts: Parts, session: Session, login: LoginName
) -> tuple[UserId, list[str]]:
    stored = await parts.users.by_login(session, **login)
    user = stored.user if stored else parts.users.nobody("")
    return user.id, await parts.tokens.addresses(session, user.id, parts.now())
