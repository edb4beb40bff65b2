"""The house: modules import from lower bands only, and each foreign library has one door."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "asgi_token_auth"

# From the top down. A name stands for a module, or for a package with all in it.
BANDS = (
    ("__main__",),
    ("__init__", "cli", "testing"),
    ("auth",),
    ("wrapping", "assembly"),
    ("endpoints", "middleware"),
    ("lifespan", "sockets"),
    ("accounts", "verification", "bearer", "paths"),
    ("mail",),
    ("storage",),
    ("passwords", "breached_passwords", "telemetry", "tokens"),
    ("settings",),
    ("throttling", "addresses", "signing_keys", "password_policy"),
    ("clock", "exceptions"),
)
STARLETTE_BANDS = {"auth", "wrapping", "endpoints", "middleware", "lifespan", "sockets", "testing"}
DOORS = {
    "databases": {"storage"},
    "sqlalchemy": {"storage", "auth", "assembly"},
    "alembic": {"storage"},
    "passlib": {"passwords"},
    "bcrypt": {"passwords"},
    "jose": {"tokens"},
    "httpx": {"mail", "breached_passwords", "testing"},
    "zxcvbn": {"password_policy"},
    "cryptography": {"mail", "signing_keys"},
    "jinja2": {"mail", "endpoints"},  # each for the templates of its own
    "aiosmtplib": {"mail"},
    "limits": {"throttling"},
    "redis": {"throttling"},
    "idna": {"mail"},
    "opentelemetry": {"telemetry"},
    "email_validator": {"accounts"},
    "pytest": {"testing"},
    "starlette": STARLETTE_BANDS,
}
MODULES = sorted(ROOT.rglob("*.py"))


def room(path: Path) -> str:
    """The module's name in BANDS."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(path: Path) -> Iterator[str]:
    """The modules that one imports when it runs: imports for type checkers are left out."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            yield str(node.module)


def band(name: str) -> int:
    return next(number for number, names in enumerate(BANDS) if name in names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_from_lower_bands_only(path: Path) -> None:
    """A package's own modules may import each other; nothing else stands on its own level."""
    here = room(path)
    for name in imports(path):
        if not name.startswith("asgi_token_auth"):
            continue
        there = [*name.split("."), "__init__"][1]
        assert there == here or band(there) > band(here), f"{here} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_foreign_library_has_one_door(path: Path) -> None:
    """What is imported behind one door can be replaced there, and its errors stop there."""
    for name in imports(path):
        library = name.split(".")[0]
        if library in DOORS:
            assert room(path) in DOORS[library], f"{room(path)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_has_one_subject(path: Path) -> None:
    """Around 400 lines at the latest there are two; and no name says nothing."""
    assert len(path.read_text().splitlines()) <= 400
    assert path.stem not in ("utils", "helpers", "manager", "common")


def test_every_room_is_in_the_drawing() -> None:
    """A new module is placed first."""
    drawn = {name for names in BANDS for name in names}

    assert {room(path) for path in MODULES} == drawn


def test_every_error_can_be_caught_by_its_public_name() -> None:
    """Whoever meets one finds it where everything public is."""
    import asgi_token_auth
    from asgi_token_auth import exceptions

    raised = {name for name, thing in vars(exceptions).items() if isinstance(thing, type)}

    assert raised - {"Mapping"} <= set(asgi_token_auth.__all__)


def test_every_error_has_its_status() -> None:
    """An exception without a row in the table would be a 500."""
    from asgi_token_auth import exceptions
    from asgi_token_auth.endpoints.errors import STATUS

    def leaves(cls: type) -> Iterator[type]:
        yield from (leaf for child in cls.__subclasses__() for leaf in leaves(child))
        if not cls.__subclasses__():
            yield cls

    for base in (exceptions.Refusal, exceptions.Unavailable):
        for leaf in leaves(base):
            assert any(cls in STATUS for cls in leaf.__mro__), leaf
