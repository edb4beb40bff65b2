"""The oldest supported versions are those that scripts/oldest tries."""

from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PINS = Path(__file__).parent / "oldest.txt"
TOOLS = {"test", "dev", "docs", "benchmarks"}  # not the library's own, and always new


def lower_bounds() -> dict[str, list[Version]]:
    """Of all that the library itself can be installed with."""
    package = metadata.metadata("asgi_token_auth")
    extras = ["", *set(package.get_all("Provides-Extra") or []).difference(TOOLS)]
    requirements = [Requirement(text) for text in package.get_all("Requires-Dist") or []]
    return {
        canonicalize_name(requirement.name): [
            Version(bound.version) for bound in requirement.specifier if bound.operator == ">="
        ]
        for requirement in requirements
        if requirement.marker is None
        or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)
    }


def pins() -> dict[str, Version]:
    lines = [line for line in PINS.read_text().splitlines() if not line.startswith("#")]
    split = [line.split("==") for line in lines]
    return {canonicalize_name(name): Version(version) for name, version in split}


def test_each_lower_bound_is_a_version_that_is_tried() -> None:
    """Where this fails, run `scripts/oldest --update`, and `scripts/oldest`."""
    bounds, tried = lower_bounds(), pins()

    assert bounds == {name: [tried.get(name)] for name in bounds}
    assert len(bounds) > 20
