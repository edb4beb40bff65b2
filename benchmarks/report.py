"""Running a question: options, the table on the screen, and the figures in results.json."""

import argparse
import asyncio
import importlib.metadata
import inspect
import json
import logging
import os
import platform
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.databases import VARIABLE, postgresql_url

Figures = dict[str, Any]
Options = argparse.Namespace

FOLDER = Path(__file__).parent
PACKAGES = (
    "asgi_token_auth",
    "aiosqlite",
    "argon2-cffi",
    "asyncmy",
    "asyncpg",
    "databases",
    "django",
    "django-rest-knox",
    "djangorestframework",
    "fastapi",
    "fastapi-users",
    "fastapi-users-db-sqlalchemy",
    "joserfc",
    "litestar",
    "piccolo",
    "piccolo_api",
    "psycopg",
    "PyJWT",
    "python-jose",
    "SQLAlchemy",
    "starlette",
    "uvicorn",
)


def run(
    name: str,
    measure: Callable[[Options], Figures | Awaitable[Figures]],
    describe: Callable[[Figures], str],
) -> None:
    """A question's `main`: measures, prints a table, and keeps the figures.

    Args:
        name: the question, which is its module's name too.
        measure: gives the figures, which JSON can hold; may be asynchronous.
        describe: the figures as a table to read.
    """
    options = _options(name)
    os.environ[VARIABLE] = options.postgresql
    logging.disable(logging.WARNING)
    figures = measure(options)
    if inspect.isawaitable(figures):
        figures = asyncio.run(_awaited(figures))
    print(describe(figures))
    keep(name, figures, quick=options.quick)


def results_path(*, quick: bool) -> Path:
    """Where figures are kept; those of a quick run never replace real ones."""
    return FOLDER / "quick/results.json" if quick else FOLDER / "results.json"


def keep(name: str, figures: Figures, *, quick: bool) -> None:
    """Puts a question's figures into the results, beside those of the others."""
    path = results_path(quick=quick)
    path.parent.mkdir(exist_ok=True)
    results = json.loads(path.read_text()) if path.exists() else {}
    results[name] = {"measured": machine(), "figures": figures}
    path.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


def machine() -> dict[str, Any]:
    """What the figures depend on, and nothing that tells whose machine it was."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of text: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    return "\n".join(_line(row, widths) for row in (headings, *rows))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])


def _options(name: str) -> Options:
    described = (sys.modules["__main__"].__doc__ or name).partition("\n")[0]
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=described)
    add_options(parser)
    return parser.parse_args()


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that every question takes."""
    parser.add_argument(
        "--quick", action="store_true", help="seconds instead of minutes: only to see it work"
    )
    parser.add_argument("--postgresql", metavar="URL", default=postgresql_url())


async def _awaited(figures: Awaitable[Figures]) -> Figures:
    return await figures


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
