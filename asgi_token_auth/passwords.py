"""Hashing passwords: the one door to passlib, off the event loop, in a bounded pool."""

import asyncio
import contextlib
import logging
import os
import sys
import threading
import unicodedata
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

with warnings.catch_warnings():
    # passlib 1.7.4 reads `crypt` (until Python 3.12) and `argon2.__version__`: both only warn.
    warnings.simplefilter("ignore", DeprecationWarning)
    from passlib.context import CryptContext
    from passlib.registry import get_crypt_handler

from asgi_token_auth.exceptions import HashingOverloaded, SettingsError

logger = logging.getLogger("asgi_token_auth.passwords")


def _is_news(record: logging.LogRecord) -> bool:
    """passlib 1.7.4 looks for bcrypt's version where bcrypt 4.1 has it no more, and complains with
    a traceback, on standard error where nobody configured a log; all works."""
    return record.msg != "(trapped) error reading bcrypt version"


logging.getLogger("passlib.handlers.bcrypt").addFilter(_is_news)

T = TypeVar("T")

ARGON2_MINIMUM = {"memory_cost": 19456, "time_cost": 2, "parallelism": 1}
"""argon2id as the OWASP Password Storage Cheat Sheet has it: 19 MiB, 2 rounds, 1 lane."""

HASHING_NICENESS = 19
UNPROVEN = "is of a scheme that password_context has, but can't verify here"
NO_HASH = "is no whole hash of a scheme that passlib knows (a password itself is never taken)"
# What people bring along, the most particular first.
IMPORTED_SCHEMES = (
    "django_pbkdf2_sha256",
    "django_pbkdf2_sha1",
    "django_argon2",
    "django_bcrypt_sha256",
    "django_bcrypt",
    "django_salted_sha1",
    "django_salted_md5",
    "argon2",
    "bcrypt_sha256",
    "bcrypt",
    "pbkdf2_sha512",
    "pbkdf2_sha256",
    "pbkdf2_sha1",
    "scrypt",
    "sha512_crypt",
    "sha256_crypt",
    "phpass",
)
LEGACY_SCHEMES = ("pbkdf2_sha256", "pbkdf2_sha512", "scrypt")


class Verification(NamedTuple):
    """Whether the password is right and, where the policy moved on, the hash to store instead."""

    valid: bool
    new_hash: str | None


def recommended_context() -> CryptContext:
    """argon2id for new hashes; scrypt, pbkdf2 and (with the extra) bcrypt still verify."""
    return _context(**ARGON2_MINIMUM)


def cheapest_context() -> CryptContext:
    """The same schemes at no cost. Only for tests!"""
    return _context(memory_cost=8, time_cost=1, parallelism=1)


def _context(*, memory_cost: int, time_cost: int, parallelism: int) -> CryptContext:
    return CryptContext(
        schemes=["argon2", *LEGACY_SCHEMES, *_bcrypt()],
        deprecated="auto",
        argon2__type="ID",
        argon2__memory_cost=memory_cost,
        argon2__time_cost=time_cost,
        argon2__parallelism=parallelism,
    )


def _bcrypt() -> list[str]:
    """bcrypt, where its package is there and works: passlib 1.7.4 fails with bcrypt 5."""
    try:
        from bcrypt import __version__ as version  # type: ignore[attr-defined]
    except ImportError:
        return []
    return ["bcrypt"] if int(version.split(".")[0]) < 5 else []


class PasswordHasher:
    """Hashes and verifies in threads of its own: as many as cores, so that logins queue
    rather than slow each other and the event loop down.

    Args:
        context: the schemes; the first is used for new hashes.
        threads: hashes at once; by default one for each core.
        queue: passwords that may wait; one more raises `HashingOverloaded`.

    Raises:
        SettingsError: a scheme of the context can't hash and verify here.
    """

    def __init__(
        self, context: CryptContext, *, threads: int | None = None, queue: int = 256
    ) -> None:
        self._context = context
        self._threads = threads or os.cpu_count() or 1
        self._limit = self._threads + queue
        self._pending = 0
        self._executor = self._new_executor()
        # Somebody nobody is: verifying against it costs what a wrong password costs. Making it
        # proves that the scheme works, and warms it: the first hash of a process is the slowest.
        self._nobody = self._self_test()
        self._proven: set[str] = set()

    @property
    def maximum_bytes(self) -> int | None:
        """The most bytes the scheme for new hashes takes without truncating; None: no limit."""
        return 72 if str(self._context.default_scheme()) == "bcrypt" else None

    @property
    def has_room(self) -> bool:
        """Whether one more password would be taken."""
        return self._pending < self._limit

    @property
    def pending(self) -> int:
        """How many passwords are being hashed, or wait for it."""
        return self._pending

    async def hash(self, password: str) -> str:
        """The hash to store.

        Raises:
            HashingOverloaded: the queue is full.
        """
        return await self._run(lambda: str(self._context.hash(_normalised(password))))

    async def verify(self, password: str, stored: str | None) -> Verification:
        """Whether `password` made `stored`; None costs the same and is always wrong.

        Raises:
            HashingOverloaded: the queue is full.
        """
        return await self._run(lambda: self._verify(password, stored))

    async def hash_fault(self, stored: str) -> str | None:
        """Why a hash that was made elsewhere can't be taken; None: passwords verify against it.

        Raises:
            HashingOverloaded: the queue is full.
        """
        scheme = self._context.identify(stored)
        if scheme is None:
            missing = _imported_scheme(stored)
            return f"is {missing}: add it to password_context's schemes" if missing else NO_HASH
        if not _is_whole(self._context.handler(scheme), stored):
            return NO_HASH
        if scheme not in self._proven:
            # Once for each scheme: the package behind it may be missing.
            if not await self._run(lambda: self._is_verifiable(stored)):
                return UNPROVEN
            self._proven.add(scheme)
        return None

    def close(self) -> None:
        """Lets the threads end once their work is done; whoever comes later gets new ones."""
        self._executor.shutdown(wait=False)
        self._executor = self._new_executor()

    def _new_executor(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(
            self._threads, thread_name_prefix="password-hash", initializer=_give_way
        )

    def _verify(self, password: str, stored: str | None) -> Verification:
        try:
            valid, new_hash = self._context.verify_and_update(
                _normalised(password), stored or self._nobody
            )
        except Exception as error:
            # passlib raises what it likes on a stored hash it can't read; the text may quote it.
            logger.warning("a stored password hash can't be verified: %s", type(error).__name__)
            self._context.verify("", self._nobody)
            return Verification(False, None)
        return Verification(bool(valid) and stored is not None, new_hash)

    def _is_verifiable(self, stored: str) -> bool:
        try:
            self._context.verify("a password", stored)
        except Exception as error:
            logger.warning("an imported hash can't be verified: %s", type(error).__name__)
            return False
        return True

    async def _run(self, work: Callable[[], T]) -> T:
        if not self.has_room:
            raise HashingOverloaded
        self._pending += 1
        try:
            future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        except BaseException:
            self._pending -= 1
            raise
        # Counted until the thread is done, not until the caller goes away: a client that
        # disconnects must not make room for another hash.
        future.add_done_callback(self._finished)
        return await asyncio.shield(future)

    def _finished(self, future: "asyncio.Future[Any]") -> None:
        self._pending -= 1
        if not future.cancelled():
            future.exception()

    def _self_test(self) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                stored = str(self._context.hash("a password"))
                works = self._context.verify("a password", stored)
            except Exception as error:
                raise SettingsError(f"password_context does not work here: {error}") from error
        if not works:
            raise SettingsError("password_context does not verify what it hashed")
        return stored


def _imported_scheme(stored: str) -> str:
    """The scheme of a hash that the context does not know."""
    for name in IMPORTED_SCHEMES:
        handler = get_crypt_handler(name)
        if handler.identify(stored) and _is_whole(handler, stored):
            return name
    return ""


def _is_whole(handler: Any, stored: str) -> bool:
    """Whether it is a hash, and not plain text, a marker of a disabled account, or cut off."""
    if "plaintext" in handler.name or handler.is_disabled:
        return False
    try:
        if hasattr(handler, "from_string"):
            return handler.from_string(stored).checksum is not None
        handler.needs_update(stored)  # a wrapper of another scheme: it reads what it judges
    except Exception:
        return False
    return True


def _give_way() -> None:
    """Lets every other thread go first, above all the event loop's: hashes wait well, and with a
    hash on each core a request would wait for its turn. On Linux a priority is a thread's own."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), HASHING_NICENESS)


def _normalised(password: str) -> str:
    """NFC, so that one password typed on two keyboards is one (NIST SP 800-63B-4, 3.1.1.2)."""
    return unicodedata.normalize("NFC", password)
