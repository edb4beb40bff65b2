"""TokenAuth: the one object that an application makes; everything hangs off it."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy
from starlette.applications import Starlette

from asgi_token_auth.accounts import Accounts
from asgi_token_auth.accounts.housekeeping import Housekeeper
from asgi_token_auth.accounts.readiness import Readiness, readiness
from asgi_token_auth.assembly import build_parts, build_verifier
from asgi_token_auth.endpoints import Endpoints
from asgi_token_auth.endpoints.openapi import Merge
from asgi_token_auth.endpoints.routes import build_app
from asgi_token_auth.exceptions import SettingsError
from asgi_token_auth.middleware import AnyASGIApp
from asgi_token_auth.paths import GuardedPaths, checked_mount
from asgi_token_auth.settings import Settings, keywords_of
from asgi_token_auth.storage.database import Database
from asgi_token_auth.storage.migrations import migration
from asgi_token_auth.storage.schema import create_tables
from asgi_token_auth.storage.tables import check_users_table, users_table
from asgi_token_auth.wrapping import WrappedApp

if TYPE_CHECKING:
    from asgi_token_auth.storage.migrations.migration import Migration


class TokenAuth:
    """Token authentication over one database. Settings are checked here, all at once.

    Used as an asynchronous context manager it starts and stops without a server's lifespan, in
    scripts and tests.

    Attributes:
        app: the account endpoints as a Starlette application, to be mounted.
        endpoints: each of them by itself, for routes of one's own; see `Endpoints`.
        accounts: the same operations as async functions; see `Accounts`.
        settings: the `Settings`.
        users: the users table.
        metadata: the library's other tables, as `sqlalchemy.MetaData`.

    Args:
        database: a URL (sqlite, postgresql, mysql), or a `databases.Database`.
        secret_key: at least 32 random bytes; or several keys: the first signs, all verify.
        email_sender: the address mails come from.
        users: the SQLAlchemy table of users, or a declarative class's `__table__`; by default
            `users_table()`.
        user_fields: the extra columns of `users` that clients may set; by default those of plain
            text without a default of their own.
        algorithm: HS256, HS384 or HS512, signed with `secret_key`; or RS256 or ES256.
        signing_key: for RS256 (2048 bits or more) and ES256 (P-256) the PEM of a private key; or
            several PEMs: the first signs, all verify, and those that only verify may be public.
        issuer: the claim `iss`; a token without it, or with another, is invalid; None: no claim.
        audience: the claim `aud`, likewise.
        password_context: a passlib CryptContext; by default argon2id (19 MiB, t=2, p=1, as OWASP
            has it). Hashes by other schemes of the context verify, and are upgraded at login.
        password_policy: what new passwords must be like; `PasswordPolicy.recommended()` is the one
            to deploy with.
        token_lifetime: how long a login lasts (7 days).
        idle_lifetime: how long a login lasts without being used; None: as long as
            `token_lifetime`. An open WebSocket is a use. At least a minute, and four times
            `user_max_age` and `revocation_lag`.
        tokens_per_user: the most logins of a user at a time; one more ends the one used least
            recently; None: any number.
        confirmation_lifetime: how long a mailed confirmation token lasts (3 days).
        email_change_lifetime: how long one for a new e-mail address lasts (1 day).
        password_reset_lifetime: how long one for a new password lasts (1 hour).
        recent_login: how long a login may change password and e-mail without the present
            password (20 minutes); None: always.
        revocation_lag: the longest that a revoked token is believed by a process that did not
            revoke it itself (1 second); 0: each request asks the database.
        user_max_age: how long a user's row is believed, for what is changed without telling
            `forget` (30 seconds).
        cached_tokens: the most verified tokens that a process remembers (100,000).
        emails: an object with any of the six builders, see `Emails`.
        mail_templates: a directory with templates of the application's own, which replace single
            ones: `welcome.subject.txt`, `welcome.txt`, `welcome.html` and so on.
        mail_language: called with the user and the request, gives the language to write in; by
            default the request's Accept-Language is asked.
        mail_transport: what sends mails: a `MailTransport`, or `console:`, `file:DIRECTORY`,
            `mailgun://KEY@DOMAIN`, `smtp://USER:PASSWORD@HOST:PORT` or `smtps://...` as text. By
            default the console.
        mail_cooldown: how long a mailbox rests once strangers had two mails of a kind sent there
            (1 minute); None: never.
        confirmation_url: the link in the mail to a new user: an http(s) URL with `{token}`, and
            `{user_id}` if need be; None: the mail holds the token itself.
        password_reset_url: the link in the mail for a new password, likewise.
        email_change_url: the link in the mail to a new address, likewise.
        user_validator: called with the `Changes` at sign-up, account update and password reset;
            sync (then it must not block) or async. It refuses by `Changes.add_error`, or by
            returning messages by field.
        disclose_accounts: whether sign-up ("at_sign_up"), also resets ("always"), or nothing
            ("never") tells who has an account.
        send_mail: whether this process sends mails.
        hashing_threads: passwords hashed at once; None: as many as cores.
        hashing_queue: passwords that wait (256); with more, `HashingOverloaded`.
        database_connections: how many connections of this process work at once (8).
        database_timeout: how long an operation waits for the database (5 seconds); then
            `DatabaseUnavailable`.
        maximum_body_bytes: the largest request body (16 KiB).
        disabled_endpoints: the endpoints that `app` and `wrap` do without, by their names in
            `endpoints`: {"sign_up"} where only you make accounts, {"token", "docs"}.
        limits: `Limits` on attempts; None: no attempt is counted.
        throttle_storage: the URL of a Redis in which processes count together; by default each
            counts in its own memory.
        trusted_proxies: addresses and networks of the proxies whose X-Forwarded-For is believed,
            and "unix" for those that come by a Unix socket; by default none.
        events_lifetime: how long events stay in the table (90 days); None: for ever.
        on_event: called with each `Event` after its commit, beside the requests and in order; sync
            (in a thread of its own) or async, one or several. What it raises is logged, and a call
            is given up after 30 seconds.
        meter_provider: OpenTelemetry's, with the extra `otel`; by default the global one.
        tracer_provider: likewise.
        clock: gives the time now, aware; for tests.

    Raises:
        SettingsError: names every setting that is wrong.
    """

    @keywords_of(Settings)
    def __init__(self, **settings: Any) -> None:
        self.settings = _settings(settings)
        self.users = check_users_table(self._users_table())
        self.metadata = sqlalchemy.MetaData()
        self._database = Database(
            self.settings.database,
            connections=self.settings.database_connections,
            timeout=self.settings.database_timeout.total_seconds(),
        )
        self._parts = parts = build_parts(self.settings, self._database, self.users, self.metadata)
        self.outbox, self.sender = parts.outbox, parts.sender
        self._housekeeper = Housekeeper(parts)
        self.accounts = Accounts(parts)
        self.verifier = build_verifier(parts)
        self.endpoints = Endpoints(parts, self.verifier)
        self.app: Starlette = build_app(self.endpoints, self.settings.disabled_endpoints)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ, **overrides: Any) -> "TokenAuth":
        """Built from `TOKEN_AUTH_DATABASE`, `TOKEN_AUTH_SECRET_KEY` and so on. Durations are in
        seconds, several keys a JSON list.

        Args:
            environ: the environment to read.
            overrides: settings that win over it, such as those that are no text.

        Raises:
            SettingsError: names every variable that is missing, unknown or wrong.
        """
        settings = Settings.from_env(environ, **overrides)
        return cls(**{name: getattr(settings, name) for name in settings.__dataclass_fields__})

    def __repr__(self) -> str:
        return f"TokenAuth({self.settings!r})"

    def wrap(
        self,
        app: AnyASGIApp,
        *,
        mount: str = "/api",
        protect: Sequence[str] = (),
        public: Sequence[str] = (),
        optional: Sequence[str] = (),
    ) -> WrappedApp:
        """An application with the account endpoints and a guard around it.

        Args:
            app: any ASGI application. Its lifespan runs within this one's.
            mount: where the endpoints are; other paths under it reach `app`.
            protect: path prefixes that need a token, on HTTP and WebSocket; they match whole
                segments.
            public: path prefixes under those that need none.
            optional: path prefixes where a token is looked at if there is one.

        Raises:
            SettingsError: a path is not absolute or not in normal form.
        """
        return WrappedApp(app, self, mount=mount, protect=protect, public=public, optional=optional)

    def add_to_openapi(
        self,
        document: Mapping[str, Any],
        *,
        mount: str = "/api",
        protect: Sequence[str] = (),
        public: Sequence[str] = (),
        optional: Sequence[str] = (),
        root_path: str = "",
        prefix: str = "Auth",
    ) -> dict[str, Any]:
        """The application's own OpenAPI document (3.0 or later) with the account endpoints in it,
        and with what the guard asks of the application's operations: how to authenticate, 401, 400
        and 503. A copy: the document given stays as it is. To do so again changes nothing.

        Args:
            document: as the application's framework makes it, decoded.
            mount, protect, public, optional: as for `wrap` and the middleware; as the document has
                its paths, which may be without what its servers begin with.
            root_path: what the application is under, where the document's servers don't say it.
            prefix: what names of our components, operations and tags begin with.

        Raises:
            SettingsError: the document is not OpenAPI 3, it has other components of these names
                already, or a path is not absolute or not in normal form.
        """
        merge = Merge(
            endpoints=self.endpoints.document,
            mount=checked_mount(mount),
            guarded=GuardedPaths(protect, public, optional),
            root_path=root_path,
            prefix=prefix,
        )
        return merge.into(document)

    async def create_tables(self) -> None:
        """Creates the tables that are not there yet.

        Raises:
            DatabaseUnavailable: the database is down.
        """
        await create_tables(self._database, self.users, self.metadata.sorted_tables)

    async def migrate(self) -> None:
        """Brings the tables to the present schema, on a database that is in use: those of an empty
        one, of an older version, and of `create_tables`. With the extra `migrations`.

        The users table is made only where `users` was not given. Several processes may do this at
        once. No deadline: building an index takes as long as it takes.

        Raises:
            SettingsError: the extra is not installed.
            DatabaseUnavailable: no connection.
            MigrationFailed: the database refuses, or its tables are not this library's.
        """
        await self._migration().run()

    async def migration_sql(self) -> str:
        """The statements that `migrate` would run on the database as it is now.

        Raises:
            SettingsError, DatabaseUnavailable, MigrationFailed: as `migrate`.
        """
        return await self._migration().sql()

    async def ready(self) -> Readiness:
        """Whether this process can serve, for a load balancer: true if the database answers within
        `database_timeout` and one more password may wait to be hashed. Raises nothing."""
        return await readiness(self._parts)

    async def forget(self, user_id: object) -> None:
        """Makes what the application itself changed of a user, or of the user's tokens, count:
        here at once, in every process within `revocation_lag`.

        Raises:
            DatabaseUnavailable: try again.
        """
        await self.accounts.forget(user_id)

    async def startup(self) -> None:
        """Connects, and begins to send mail. A database that is down now is waited for later."""
        self._housekeeper.start()
        self.verifier.start()

    async def shutdown(self) -> None:
        """Finishes what is under way, then disconnects."""
        parts = self._parts
        async with contextlib.AsyncExitStack() as stack:  # each is stopped, though another fails
            stack.callback(parts.passwords.close)
            stack.push_async_callback(parts.events.stop)  # last: until now there may be some
            stack.push_async_callback(self._database.disconnect)
            if parts.breach_check is not None:
                stack.push_async_callback(parts.breach_check.aclose)
            stack.push_async_callback(parts.throttle.close)
            stack.push_async_callback(self.verifier.stop)
            stack.push_async_callback(self.sender.stop)
            stack.push_async_callback(self._housekeeper.stop)

    async def __aenter__(self) -> "TokenAuth":
        await self.startup()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.shutdown()

    def _migration(self) -> "Migration":
        return migration(self._database, self.users, with_users=self.settings.users is None)

    def _users_table(self) -> object:
        return users_table() if self.settings.users is None else self.settings.users


def _settings(given: dict[str, Any]) -> Settings:
    known = Settings.__dataclass_fields__
    faults = [f"{name} is not a setting" for name in given if name not in known]
    required = ("database", "secret_key", "email_sender")
    faults += [f"{name} is missing" for name in required if name not in given]
    if faults:
        raise SettingsError(*faults)
    return Settings(**given)
