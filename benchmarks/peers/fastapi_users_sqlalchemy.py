"""fastapi-users over SQLAlchemy's asyncio extension: the JWT strategy, which loads the user, and
the database strategy, whose tokens are rows."""

import contextlib
import secrets
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, JWTStrategy
from fastapi_users.authentication.strategy.db import DatabaseStrategy
from fastapi_users.password import PasswordHelper
from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users_db_sqlalchemy.access_token import (
    SQLAlchemyAccessTokenDatabase,
    SQLAlchemyBaseAccessTokenTableUUID,
)
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase

from asgi_token_auth.testing import SECRET_KEY
from benchmarks.databases import with_driver
from benchmarks.peers.fastapi_pyjwt import bare_app
from benchmarks.stacks import CONTENT, PATH, LogIn, Stack, owner, owners

JWT = "fastapi-users, JWT"
DATABASE = "fastapi-users, database"
SAME_HASH = "fastapi-users, our hash"
LIFETIME_SECONDS = 86_400
PASSWORD = "correct horse battery staple"  # noqa: S105


class Base(DeclarativeBase):
    """The tables."""


class User(SQLAlchemyBaseUserTableUUID, Base):
    """fastapi-users' own columns."""


class AccessToken(SQLAlchemyBaseAccessTokenTableUUID, Base):
    """fastapi-users' own columns."""


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    """Sends no mail."""


class Service:
    """The dependencies as fastapi-users' documentation wires them, on one engine."""

    def __init__(self, engine: AsyncEngine, password_helper: PasswordHelper) -> None:
        self.sessions = async_sessionmaker(engine, expire_on_commit=False)

        async def session() -> AsyncIterator[AsyncSession]:
            async with self.sessions() as opened:
                yield opened

        async def manager(opened: Annotated[AsyncSession, Depends(session)]) -> Any:
            yield UserManager(SQLAlchemyUserDatabase(opened, User), password_helper)

        def database_strategy(opened: Annotated[AsyncSession, Depends(session)]) -> Any:
            rows = SQLAlchemyAccessTokenDatabase(opened, AccessToken)
            return DatabaseStrategy(rows, lifetime_seconds=LIFETIME_SECONDS)

        self._manager = manager
        self._strategies = {JWT: jwt_strategy, DATABASE: database_strategy}

    def app(self, label: str) -> FastAPI:
        """The application with that strategy: the route, and logging in."""
        transport = BearerTransport(tokenUrl="log-in/login")
        backend = AuthenticationBackend("bearer", transport, self._strategies[label])
        users = FastAPIUsers[User, uuid.UUID](self._manager, [backend])
        current_user = users.current_user(active=True)
        app = FastAPI()
        app.include_router(users.get_auth_router(backend), prefix="/log-in")

        @app.get(PATH)
        async def messages(user: Annotated[User, Depends(current_user)]) -> dict[str, str]:
            return CONTENT

        return app


def jwt_strategy() -> JWTStrategy[User, uuid.UUID]:
    """As the documentation has it."""
    return JWTStrategy(SECRET_KEY, lifetime_seconds=LIFETIME_SECONDS)


@contextlib.asynccontextmanager
async def open_stacks(database: str, tokens: int) -> AsyncIterator[dict[str, Stack]]:
    """Both strategies by their labels, on the same users."""
    async with _service(database, PasswordHelper()) as service:
        users = await _add_users(service, ["!" for _ in owners(tokens)])
        signed = [await jwt_strategy().write_token(users[owner(n)]) for n in range(tokens)]
        stored = await _add_tokens(service, [users[owner(n)] for n in range(tokens)])
        yield {
            JWT: Stack("irrevocable", bare_app(), service.app(JWT), signed),
            DATABASE: Stack("revocable", bare_app(), service.app(DATABASE), stored),
        }


@contextlib.asynccontextmanager
async def open_for_log_in(database: str, users: int) -> AsyncIterator[dict[str, Stack]]:
    """The database strategy, hashing as it comes; log-ins for that many users, and the token of
    another."""
    async with _open_for_log_in(database, users, PasswordHelper()) as stack:
        yield {DATABASE: stack}


@contextlib.asynccontextmanager
async def open_for_log_in_same_hash(database: str, users: int) -> AsyncIterator[dict[str, Stack]]:
    """The same, hashing with our default parameters, which cost less than its own."""
    helper = PasswordHelper(
        PasswordHash((Argon2Hasher(memory_cost=19_456, time_cost=2, parallelism=1),))
    )
    async with _open_for_log_in(database, users, helper) as stack:
        yield {SAME_HASH: stack}


@contextlib.asynccontextmanager
async def _open_for_log_in(
    database: str, users: int, helper: PasswordHelper
) -> AsyncIterator[Stack]:
    async with _service(database, helper) as service:
        added = await _add_users(service, [helper.hash(PASSWORD)] * (users + 1))
        token = (await _add_tokens(service, added[:1]))[0]
        fields = [{"username": user.email, "password": PASSWORD} for user in added[1:]]
        content_type = "application/x-www-form-urlencoded"
        log_ins = [
            LogIn("/log-in/login", content_type, urlencode(each).encode()) for each in fields
        ]
        yield Stack("revocable", bare_app(), service.app(DATABASE), [token], log_ins)


@contextlib.asynccontextmanager
async def _service(database: str, helper: PasswordHelper) -> AsyncIterator[Service]:
    engine = create_async_engine(with_driver(database))
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield Service(engine, helper)
    await engine.dispose()


async def _add_users(service: Service, hashes: Sequence[str]) -> list[User]:
    users = [
        User(id=uuid.uuid4(), email=f"user{number}@example.com", hashed_password=hashed)
        for number, hashed in enumerate(hashes)
    ]
    async with service.sessions.begin() as session:
        session.add_all(users)
    return users


async def _add_tokens(service: Service, users: Sequence[User]) -> list[str]:
    tokens = [secrets.token_urlsafe() for _ in users]
    pairs = zip(tokens, users, strict=True)
    async with service.sessions.begin() as session:
        session.add_all([AccessToken(token=token, user_id=user.id) for token, user in pairs])
    return tokens
