"""Builds the parts of one TokenAuth from its settings."""

from datetime import timedelta

from sqlalchemy import MetaData, Table

from asgi_token_auth.accounts import Parts
from asgi_token_auth.accounts.events import Events
from asgi_token_auth.accounts.hooks import Hooks
from asgi_token_auth.breached_passwords import BreachCheck
from asgi_token_auth.exceptions import SettingsError
from asgi_token_auth.mail.envelope import Envelope
from asgi_token_auth.mail.messages import Builders
from asgi_token_auth.mail.outbox import Outbox
from asgi_token_auth.mail.sender import Sender
from asgi_token_auth.mail.transports import ConsoleTransport, MailTransport, transport_from_url
from asgi_token_auth.password_policy import PasswordRules
from asgi_token_auth.passwords import PasswordHasher, recommended_context
from asgi_token_auth.settings import Settings
from asgi_token_auth.storage.database import Database
from asgi_token_auth.storage.events import EventRows
from asgi_token_auth.storage.outbox import OutboxRows
from asgi_token_auth.storage.revocations import Revocations
from asgi_token_auth.storage.tables import (
    events_table,
    outbox_table,
    revocations_table,
    tokens_table,
)
from asgi_token_auth.storage.tokens import Tokens
from asgi_token_auth.storage.users import Users
from asgi_token_auth.telemetry import Telemetry
from asgi_token_auth.throttling import Throttle
from asgi_token_auth.tokens import TokenSigner
from asgi_token_auth.verification import Verifier


def build_parts(settings: Settings, database: Database, users: Table, metadata: MetaData) -> Parts:
    """The parts that operations work with; their tables are put into `metadata`.

    Raises:
        SettingsError: a setting does not work here.
    """
    dialect, policy = database.dialect, settings.password_policy
    user_rows = Users(users, dialect, settings.user_fields)
    idle = settings.idle_lifetime
    tokens = Tokens(
        tokens_table(metadata, users),
        user_rows,
        dialect,
        idle=None if idle is None else idle // timedelta(milliseconds=1),
    )
    revocations = Revocations(revocations_table(metadata, users), dialect, settings.clock)
    database.revocations = revocations
    outbox, sender = _mail(settings, database, metadata)
    telemetry = Telemetry(settings.meter_provider, settings.tracer_provider)
    events = EventRows(events_table(metadata, users), dialect)
    hooks = Hooks(settings.on_event)
    return Parts(
        settings=settings,
        database=database,
        users=user_rows,
        tokens=tokens,
        revocations=revocations,
        outbox=outbox,
        sender=sender,
        password_rules=PasswordRules(policy),
        breach_check=BreachCheck(policy.breached) if policy.breached else None,
        passwords=_passwords(settings),
        signer=_signer(settings),
        messages=Builders(settings),
        throttle=Throttle(
            settings.limits, settings.throttle_storage, settings.keys[0], settings.clock
        ),
        events=Events(database, events, hooks, telemetry, settings.clock),
        telemetry=telemetry,
    )


def build_verifier(parts: Parts) -> Verifier:
    """What knows which tokens are good right now."""
    verifier = Verifier(
        parts.database, parts.users, parts.tokens, parts.revocations, parts.signer, parts.settings
    )
    _observe(parts, verifier)
    return verifier


def _passwords(settings: Settings) -> PasswordHasher:
    return PasswordHasher(
        settings.password_context or recommended_context(),
        threads=settings.hashing_threads,
        queue=settings.hashing_queue,
    )


def _signer(settings: Settings) -> TokenSigner:
    return TokenSigner(
        settings.token_keys,
        settings.algorithm,
        settings.clock,
        issuer=settings.issuer,
        audience=settings.audience,
    )


def _mail(settings: Settings, database: Database, metadata: MetaData) -> tuple[Outbox, Sender]:
    rows = OutboxRows(outbox_table(metadata), database.dialect)
    envelope = Envelope(settings.keys)
    cooldown, clock = settings.mail_cooldown, settings.clock
    outbox = Outbox(database, rows, envelope, clock=clock, cooldown=cooldown)
    sender = Sender(
        database,
        rows,
        _transport(settings.mail_transport),
        envelope,
        from_address=settings.email_sender,
        clock=clock,
        enabled=settings.send_mail,
    )
    return outbox, sender


def _transport(given: MailTransport | str | None) -> MailTransport:
    transport = transport_from_url(given) if isinstance(given, str) else given
    if transport is None:
        return ConsoleTransport()
    if not isinstance(transport, MailTransport):
        raise SettingsError("mail_transport must have an async method send(mail)")
    return transport


def _observe(parts: Parts, verifier: Verifier) -> None:
    """What OpenTelemetry may ask for. Weakly: it never forgets whom it asks."""
    parts.telemetry.observe(
        "token_auth.tokens.cached",
        "{token}",
        "Verified tokens remembered",
        verifier,
        lambda verifier: verifier.cached,
    )
    parts.telemetry.observe(
        "token_auth.feed.age",
        "s",
        "Since the revocation feed was read",
        verifier,
        lambda verifier: verifier.feed_age,
    )
    parts.telemetry.observe(
        "token_auth.hashing.pending",
        "{password}",
        "Passwords being hashed or waiting for it",
        parts.passwords,
        lambda passwords: passwords.pending,
    )
    parts.telemetry.observe(
        "token_auth.outbox.overdue",
        "s",
        "How long the mail waiting longest has been due",
        parts.sender,
        lambda sender: sender.overdue,
    )
