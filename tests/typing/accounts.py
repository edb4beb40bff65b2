"""Type-checked, never run: `auth.accounts` in scripts, and what each operation gives and raises."""

from collections.abc import AsyncIterator
from typing import assert_type

from asgi_token_auth import (
    AccountNotConfirmed,
    BreachedPasswordsUnavailable,
    DatabaseUnavailable,
    Event,
    HashingOverloaded,
    InvalidFields,
    InvalidToken,
    IssuedToken,
    MailError,
    MailRefused,
    SettingsError,
    Throttled,
    TokenAuth,
    TokenAuthError,
    UnknownCredentials,
    User,
)
from asgi_token_auth.accounts import Client, ImportOptions, ImportReport, Record, Token

auth = TokenAuth.from_env()


async def the_flow() -> None:
    user = await auth.accounts.sign_up(email="ada@example.com", password="secret", team="red")
    assert_type(user, User | None)
    issued = await auth.accounts.confirm(1, confirmation_token="token", session_name="laptop")
    assert_type(issued, IssuedToken)
    assert_type(issued.token, str)
    assert_type(issued.expires_in, int)
    assert_type(issued.user, User)
    client = Client(address="198.51.100.7", user_agent="curl", device=issued.token)
    issued = await auth.accounts.log_in(username="ada", password="secret", client=client)
    await auth.accounts.resend_confirmation(email="ada@example.com")
    await auth.accounts.request_password_reset(email="ada@example.com")
    issued = await auth.accounts.reset_password(
        user_id=1, password_reset_token="token", password="secret"
    )
    await auth.accounts.update_account(issued.user, email="ada@example.org")
    await auth.accounts.delete_account(issued.user, password="secret")
    await auth.accounts.update_account(1, email="a@b")  # type: ignore[arg-type]
    await auth.accounts.log_in("ada", "secret")  # type: ignore[call-arg, arg-type]
    await auth.accounts.log_in(client="curl", email="a@b")  # type: ignore[arg-type]


async def sessions(user: User) -> None:
    tokens = await auth.accounts.list_sessions(user)
    assert_type(tokens, list[Token])
    assert_type(await auth.accounts.log_out(user), int)
    await auth.accounts.log_out(user, tokens[0], "others")
    await auth.accounts.log_out(user, scope="everywhere")  # type: ignore[arg-type]
    await auth.accounts.rename_session(user, tokens[0].digest, "phone")
    await auth.accounts.revoke_session(user, tokens[0].digest, token=tokens[1])
    assert_type(await auth.accounts.list_events(user, before=100), list[Event])
    await auth.accounts.forget(user.id)


async def keeping_house() -> None:
    assert_type(await auth.accounts.get(1), User | None)
    assert_type(await auth.accounts.purge(), dict[str, int])
    assert_type(await auth.accounts.purge_expired(), int)


async def importing(records: AsyncIterator[Record]) -> None:
    def refused(record: Record, reason: str) -> None: ...

    report = await auth.accounts.import_users(
        records, ImportOptions(dry_run=True), on_refused=refused, on_batch=print
    )
    assert_type(report, ImportReport)
    assert_type(report.refused, dict[str, int])
    ImportOptions(True)  # type: ignore[call-arg, arg-type]


def evidence(error: TokenAuthError) -> int | float | str | None:
    match error:
        case InvalidFields():
            assert_type(error.errors, dict[str, str])
        case SettingsError():
            assert_type(error.faults, tuple[str, ...])
        case Throttled():
            return error.retry_after
        case DatabaseUnavailable() | HashingOverloaded() | BreachedPasswordsUnavailable():
            return error.retry_after
        case MailRefused() | MailError():
            return error.retry_after
        case UnknownCredentials() | AccountNotConfirmed() | InvalidToken():
            return error.code
        case _:
            pass
    return error.code


def every_action(user: User) -> None:
    def act(event: Event) -> None:
        if event.event in ("signed_up", "confirmed"):
            return
        if event.id is None:
            assert_type(event.session, str | None)

    act(Event("logged_in", user.id, 0))
    act(Event("loged_in", user.id, 0))  # type: ignore[arg-type]
