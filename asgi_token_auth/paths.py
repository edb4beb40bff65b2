"""Which paths fall under a prefix. When in doubt, a path is protected.

A guard that reads a path otherwise than the router behind it is the largest family of
authentication bypasses in frameworks of the last years. So a path counts as protected if either
its raw or its normal form falls under a prefix, and as public only if the two are the same.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from asgi_token_auth.exceptions import SettingsError

MAXIMUM_DECODINGS = 4


class PathPrefixes:
    """Prefixes that match on segment boundaries: `/api` is `/api` and `/api/x`, not `/apix`.

    Raises:
        SettingsError: a prefix does not begin with a slash, or is not in normal form.
    """

    def __init__(self, name: str, prefixes: Sequence[str]) -> None:
        if isinstance(prefixes, str):
            raise SettingsError(f"{name} must be a list of paths, not one text")
        self._prefixes = tuple(_checked(name, prefix) for prefix in prefixes)
        self._folded = tuple(prefix.casefold() for prefix in self._prefixes)

    def __bool__(self) -> bool:
        return bool(self._prefixes)

    def covers(self, path: str) -> bool:
        """Whether the path as it stands falls under a prefix."""
        return _is_under(path, self._prefixes)

    def could_cover(self, path: str) -> bool:
        """Whether some router could take the path for one under a prefix."""
        if _is_under(path, self._prefixes):
            return True
        return _is_under(normal_form(path).casefold(), self._folded)


def route_paths(scope: Any) -> tuple[str, ...]:
    """The path as a router below may see it: with `root_path` taken off, and as it stands.

    uvicorn's `--root-path` and a Mount leave the prefix in `path`; hypercorn and granian do not.
    """
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    stripped = without_root(path, root)
    return (path,) if stripped == path else (stripped, path)


def without_root(path: str, root: str) -> str:
    """The path below `root`; as it is where it is not below."""
    if not root or not path.startswith(root):
        return path
    rest = path[len(root) :]
    return (rest or "/") if not rest or rest.startswith("/") else path


def normal_form(path: str) -> str:
    """What the most lenient router might make of a path: decoded, dots and doubled slashes
    resolved, parameters and control characters dropped."""
    for _ in range(MAXIMUM_DECODINGS):
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    segments: list[str] = []
    for segment in path.replace("\\", "/").split("/"):
        name = "".join(filter(str.isprintable, segment.partition(";")[0])).strip()
        if name == "..":
            del segments[-1:]
        elif name not in ("", "."):
            segments.append(name)
    return "/" + "/".join(segments)


def _is_under(path: str, prefixes: tuple[str, ...]) -> bool:
    return any(
        path.startswith(prefix) and (len(path) == len(prefix) or path[len(prefix)] == "/")
        for prefix in prefixes
    )


def _checked(name: str, prefix: object) -> str:
    if not isinstance(prefix, str) or not prefix.startswith("/"):
        raise SettingsError(f"{name} must hold paths that begin with a slash")
    bare = prefix.rstrip("/")
    if normal_form(prefix) != (bare or "/"):
        raise SettingsError(f"{name} must hold paths in normal form, not {prefix!r}")
    return bare
