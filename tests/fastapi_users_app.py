"""A service of fastapi-users, as its documentation has it, whose users are to be taken over.

python fastapi_users_app.py DATABASE_FILE: makes four users in it by HTTP, and prints what its
routes answered. fastapi-users pins versions that are not this library's, so it needs an
environment of its own: TEST_FASTAPI_USERS_PYTHON names its Python.
"""

import asyncio
import contextlib
import json
import sys
import uuid
import warnings
from collections.abc import AsyncIterator
from typing import Any

import httpx
from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, JWTStrategy
from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users.password import PasswordHelper
from pwdlib import PasswordHash
from pwdlib.hashers.bcrypt import BcryptHasher
from sqlalchemy import update
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

SECRET = "s" * 40
PASSWORD = "seven tall herons wade"
tokens: dict[str, str] = {}


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):
    pass


engine = create_async_engine(f"sqlite+aiosqlite:///{sys.argv[1]}")
sessions = async_sessionmaker(engine, expire_on_commit=False)


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    reset_password_token_secret = verification_token_secret = SECRET

    async def on_after_request_verify(self, user: User, token: str, request: Any = None) -> None:
        tokens[user.email] = token


async def user_manager() -> AsyncIterator[UserManager]:
    async with sessions() as session:
        yield UserManager(SQLAlchemyUserDatabase(session, User))


backend = AuthenticationBackend(
    name="jwt",
    transport=BearerTransport(tokenUrl="auth/jwt/login"),
    get_strategy=lambda: JWTStrategy(secret=SECRET, lifetime_seconds=3600),
)
users = FastAPIUsers[User, uuid.UUID](user_manager, [backend])


class UserRead(schemas.BaseUser[uuid.UUID]):
    pass


app = FastAPI()
app.include_router(users.get_auth_router(backend), prefix="/auth/jwt")
app.include_router(users.get_register_router(UserRead, schemas.BaseUserCreate), prefix="/auth")
app.include_router(users.get_reset_password_router(), prefix="/auth")
app.include_router(users.get_verify_router(UserRead), prefix="/auth")
app.include_router(users.get_users_router(UserRead, schemas.BaseUserUpdate), prefix="/users")


@app.get("/messages")
async def messages(user: User = Depends(users.current_user(active=True))) -> str:  # noqa: B008
    return user.email


async def main() -> None:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    answers: dict[str, int] = {}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:

        async def ask(name: str, method: str, path: str, **given: Any) -> httpx.Response:
            response = await client.request(method, path, **given)
            answers[name] = response.status_code
            return response

        for name in ("ada", "bcrypt", "inactive", "unverified"):
            body = {"email": f"{name}@example.com", "password": PASSWORD}
            await ask("register", "POST", "/auth/register", json=body)
            if name != "unverified":
                await client.post("/auth/request-verify-token", json={"email": body["email"]})
                await ask("verify", "POST", "/auth/verify", json={"token": tokens[body["email"]]})
        form = {"username": "unverified@example.com", "password": PASSWORD}
        await ask("unverified login", "POST", "/auth/jwt/login", data=form)
        await ask("taken", "POST", "/auth/register", json=body)
        form = {"username": "ada@example.com", "password": PASSWORD}
        token = (await ask("login", "POST", "/auth/jwt/login", data=form)).json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        wrong = {**form, "password": "wrong"}
        await ask("bad login", "POST", "/auth/jwt/login", data=wrong)
        await ask("no token", "GET", "/messages")
        await ask("me", "GET", "/users/me", headers=bearer)
        await ask("logout", "POST", "/auth/jwt/logout", headers=bearer)
        await ask("after logout", "GET", "/messages", headers=bearer)
        await ask("forgot", "POST", "/auth/forgot-password", json={"email": form["username"]})
        bad_token = {"token": "x", "password": PASSWORD}
        await ask("bad reset", "POST", "/auth/reset-password", json=bad_token)
    async with sessions() as session:
        older = PasswordHelper(PasswordHash((BcryptHasher(),))).hash(PASSWORD)
        for name, values in (
            ("bcrypt", {"hashed_password": older}),
            ("inactive", {"is_active": False}),
        ):
            where = User.email == f"{name}@example.com"  # type: ignore[arg-type]
            await session.execute(update(User).where(where).values(**values))
        await session.commit()
    await engine.dispose()
    print(json.dumps(answers))


if __name__ == "__main__":
    with warnings.catch_warnings(), contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
