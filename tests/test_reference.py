"""The API reference: every public name is in it, and says what it is. `scripts/docs` builds it, and
fails where a docstring refers to what is not there."""

import dataclasses
import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import asgi_token_auth
from asgi_token_auth import Limits, Settings, TokenAuth, accounts, exceptions, testing
from asgi_token_auth.endpoints import Endpoints

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs/reference"
README = (ROOT / "README.md").read_text()
TYPING_TEST = (ROOT / "tests/typing/applications.py").read_text()
PAGES = "\n".join(path.read_text() for path in REFERENCE.glob("*.rst"))
DIRECTIVE = re.compile(r"^\.\. (currentmodule|auto\w+):: ([\w.]+)", re.MULTILINE)
PUBLIC = {
    **{f"asgi_token_auth.{name}": asgi_token_auth for name in asgi_token_auth.__all__},
    **{f"asgi_token_auth.testing.{name}": testing for name in testing.__all__},
}
OF_ACCOUNTS = ("Accounts", "Client", "ImportOptions", "ImportReport", "Record", "Token")
# What has its fields explained elsewhere: a table of their own, or `TokenAuth`.
EXPLAINED_ELSEWHERE = (Limits, Settings)


def documented() -> Iterator[str]:
    """The names that the pages ask Sphinx to document."""
    module = ""
    for kind, name in DIRECTIVE.findall(PAGES):
        if kind == "currentmodule":
            module = name
        elif kind == "automodule":
            found = importlib.import_module(name)
            own = [n for n, of in vars(found).items() if getattr(of, "__module__", "") == name]
            yield from (f"{name}.{n}" for n in getattr(found, "__all__", own))
        else:
            yield name if name.startswith("asgi_token_auth.") else f"{module}.{name}"


DOCUMENTED = sorted(documented())


def named(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def explained(cls: type) -> list[str]:
    """The arguments that the docstring has, one a line, or several that are explained together."""
    arguments = (cls.__doc__ or "").partition("Args:")[2].partition("Raises:")[0]
    groups = re.findall(r"^ {8}(\w+(?:, \w+)*): ", arguments, re.MULTILINE)
    return [name for group in groups for name in group.split(", ")]


def test_every_public_name_is_in_the_reference() -> None:
    """Under its own name, or under that of the module that a page has as a whole."""
    there = [named(name) for name in DOCUMENTED]
    public = [*PUBLIC, *(f"asgi_token_auth.accounts.{name}" for name in OF_ACCOUNTS)]

    missing = [
        name
        for name in public
        if name not in DOCUMENTED and not any(named(name) is each for each in there)
    ]

    assert missing == []


@pytest.mark.parametrize("name", [name for name in DOCUMENTED if callable(named(name))])
def test_every_public_name_says_what_it_is(name: str) -> None:
    """Methods and properties, too; and a dataclass explains each field."""
    found = named(name)

    assert not (found.__doc__ or "()").startswith((f"{found.__name__}(", "()")), name
    for method, of in vars(found).items():
        is_function = inspect.isfunction(of) or isinstance(of, property | classmethod)
        if is_function and not method.startswith("_"):
            assert of.__doc__, f"{name}.{method}"
    if dataclasses.is_dataclass(found) and found not in EXPLAINED_ELSEWHERE:
        assert explained(found) == [field.name for field in dataclasses.fields(found)]


def test_every_setting_is_explained() -> None:
    """Both ways; `help(TokenAuth)` shows each with its default."""
    assert explained(TokenAuth) == list(Settings.__dataclass_fields__)
    assert list(inspect.signature(TokenAuth).parameters) == explained(TokenAuth)


def test_every_operation_and_endpoint_says_what_it_is() -> None:
    """They are documented as members of their classes."""
    for name in ("Accounts", "Endpoints"):
        assert f"autoclass:: {name}()\n   :members:" in PAGES
    for cls in (accounts.Accounts, *Endpoints.__mro__[:-1]):
        for name, of in vars(cls).items():
            assert name.startswith("_") or inspect.getdoc(of), f"{cls.__name__}.{name}"


def test_every_endpoint_is_in_the_readmes_table_and_in_the_typing_test() -> None:
    """By method and path, whatever their placeholders are called; by name."""
    table = README.split("## Endpoints")[1].split("## Settings")[0].replace("token_id", "id")
    rows = re.findall(r"^\| ([A-Z]+) ([^|]+) \|", table, re.MULTILINE)
    written = {f"{method} {path}" for method, paths in rows for path in paths.split(", ")}
    auth = TokenAuth(database="sqlite:///a.db", secret_key="k" * 40, email_sender="a@example.com")
    routes: Any = auth.app.routes
    served = {
        f"{method} {route.path.replace('token_id', 'id')}": endpoint.__name__
        for route in routes
        for method, endpoint in route.by_method.items()
    }

    assert written <= set(served)
    assert {served[each] for each in written} == set(served.values())
    assert set(served.values()) <= set(re.findall(r"auth\.endpoints\.(\w+)", TYPING_TEST))


def test_the_hierarchy_of_errors_is_drawn_as_it_is() -> None:
    """Each with its depth, in the drawing on top of the page."""
    drawn = re.findall(r"^ {4}([│├└─ ]*)(\w+)", exceptions.__doc__ or "", re.MULTILINE)
    errors = {
        name: len(error.__mro__[: error.__mro__.index(exceptions.TokenAuthError)])
        for name, error in vars(exceptions).items()
        if isinstance(error, type) and issubclass(error, exceptions.TokenAuthError)
    }

    assert {name: len(lines) // 4 for lines, name in drawn} == errors


MODULES = sorted(
    module.name for module in pkgutil.walk_packages(asgi_token_auth.__path__, "asgi_token_auth.")
)


def test_the_examples_in_docstrings_run() -> None:
    """What they show is what comes out."""
    skipped = ".storage.migrations."  # scripts, which only Alembic can import
    modules = [importlib.import_module(name) for name in MODULES if skipped not in name]

    results = [doctest.testmod(module) for module in modules]

    assert sum(result.failed for result in results) == 0
    assert sum(result.attempted for result in results) >= 4
