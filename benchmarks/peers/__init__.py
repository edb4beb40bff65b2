"""The stacks that are measured: one module for each library, ours and the floor among them.

Each module has `open_stacks(database, tokens)`, an asynchronous context manager that gives its
stacks by their labels. A stack is set up as the library's documentation shows it; rows are
written in bulk where the library allows it, since logging in is not what is measured.
"""

import contextlib
import importlib
from collections.abc import Sequence
from types import ModuleType

from benchmarks.stacks import Stack

MODULES = (
    "floor",
    "ours",
    "starlette_pyjwt",
    "starlette_joserfc",
    "fastapi_pyjwt",
    "litestar_jwt",
    "fastapi_users_sqlalchemy",
    "piccolo_tokens",
    "knox_tokens",
)


def load(name: str) -> ModuleType:
    """The module of that name.

    Raises:
        ImportError: what it measures is not installed.
    """
    return importlib.import_module(f"{__name__}.{name}")


async def open_all(
    stack: contextlib.AsyncExitStack,
    database: str,
    tokens: int,
    modules: Sequence[str] = MODULES,
) -> dict[str, Stack]:
    """All stacks by label, closed with `stack`; a library that is not installed is left out."""
    opened: dict[str, Stack] = {}
    for name in modules:
        try:
            opened |= await stack.enter_async_context(load(name).open_stacks(database, tokens))
        except ImportError as error:
            print(f"{name} is left out: {error}")
    return opened
