"""Which paths need a token. When in doubt, a path does.

A guard that reads a path otherwise than the router behind it is the largest family of
authentication bypasses in frameworks of the last years. So a path counts as protected if either
its raw or its normal form falls under a prefix, and as public only if the two are the same.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal
from urllib.parse import unquote

from asgi_token_auth.exceptions import SettingsError

MAXIMUM_DECODINGS = 4


# What a path asks for: no token, one if there is one, one; or it is an account endpoint's.
Need = Literal["nothing", "optional", "required", "endpoint"]
NEEDS: tuple[Need, ...] = ("nothing", "optional", "required")  # the later, the stricter


class PathPrefixes:
    """Prefixes that match on segment boundaries: `/api` is `/api` and `/api/x`, not `/apix`.

    Raises:
        SettingsError: a prefix does not begin with a slash, or is not in normal form.
    """

    def __init__(self, name: str, prefixes: Sequence[str]) -> None:
        if isinstance(prefixes, str):
            raise SettingsError(f"{name} must be a list of paths, not one text")
        checked = [_checked(name, prefix) for prefix in prefixes]
        folded = [prefix.casefold() for prefix in checked]
        self._exact, self.below = frozenset(checked), _below(checked)
        self._folded, self._folded_below = frozenset(folded), _below(folded)

    def __bool__(self) -> bool:
        return bool(self._exact)

    def covers(self, path: str) -> bool:
        """Whether the path as it stands falls under a prefix."""
        return path.startswith(self.below) or path in self._exact

    def could_cover(self, path: str) -> bool:
        """Whether some router could take the path for one under a prefix."""
        if path.startswith(self.below) or path in self._exact:
            return True
        if not is_plain(path):
            path = normal_form(path).casefold()
        return path.startswith(self._folded_below) or path in self._folded


class GuardedPaths:
    """What each path asks for.

    Args:
        protect: prefixes that need a token.
        public: prefixes under those that need none.
        optional: prefixes where a token is looked at if there is one.
        endpoints: what paths of account endpoints begin with; these go before all prefixes.
        is_endpoint: whether a path that begins so, without the root path, is one.
        app_roots: root paths that the guarded application sets by itself, see `roots_of`.

    Raises:
        SettingsError: a prefix is no absolute path in normal form.
    """

    def __init__(
        self,
        protect: Sequence[str],
        public: Sequence[str],
        optional: Sequence[str],
        endpoints: Sequence[str] = (),
        is_endpoint: Callable[[Any, str], bool] = lambda scope, path: False,
        app_roots: Sequence[str] = (),
    ) -> None:
        self._protect = PathPrefixes("protect", protect)
        self._public = PathPrefixes("public", public)
        self._optional = PathPrefixes("optional", optional)
        self._endpoints = tuple(endpoints)
        self._is_endpoint = is_endpoint
        self._app_roots = tuple(app_roots)
        self._has_exceptions = bool(self._public) or bool(self._optional)
        # Where nothing is excepted, a path below a prefix needs a token whatever else it is.
        excepted = self._has_exceptions or any(map(self._protect.could_cover, endpoints))
        self._always = () if excepted else self._protect.below

    def need(self, scope: Any) -> Need:
        """What the request's path asks for, however a router below may see it."""
        path: str = scope["path"]
        root = scope.get("root_path")
        if not root and path.startswith(self._always):
            return "required"
        paths = route_paths(scope) if root else (path,)
        if paths[0].startswith(self._endpoints) and self._is_endpoint(scope, paths[0]):
            return "endpoint"
        need = self._need_of(paths, sent_path(scope))
        if need == "required" or not self._protect:
            return need
        if path[:1] != "/":
            return "required"  # a whole URL, of which Quart takes the path; or nobody knows what
        roots = (root, *self._app_roots) if root else self._app_roots
        if not roots:
            return need
        needs = [need, *(self._need_of((inner,), inner) for inner in paths_within(path, roots))]
        return max(needs, key=NEEDS.index)

    def _need_of(self, paths: tuple[str, ...], sent: str = "") -> Need:
        seen = paths if sent in paths else (*paths, sent)  # mostly it is: no need to look twice
        protected = any(map(self._protect.could_cover, seen))
        if not self._has_exceptions:
            return "required" if protected else "nothing"
        if protected and not self._is_excepted(paths[0]):
            return "required"
        return "optional" if any(map(self._optional.covers, paths)) else "nothing"

    def _is_excepted(self, path: str) -> bool:
        """Only a path that every router reads alike may be public."""
        if not (self._public.covers(path) or self._optional.covers(path)):
            return False
        trailing = "/" if path.endswith("/") and path != "/" else ""
        return normal_form(path) + trailing == path


def route_paths(scope: Any) -> tuple[str, ...]:
    """The path as a router below may see it: with `root_path` taken off, and as it stands.

    uvicorn's `--root-path` and a Mount leave the prefix in `path`; hypercorn and granian do not.
    """
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    stripped = without_root(path, root)
    return (path,) if stripped == path else (stripped, path)


def sent_path(scope: Any) -> str:
    """The path as the client sent it, undecoded; empty where the server does not tell. Inside one
    of Litestar's mounts nothing else has the prefix: `path` is without it, `root_path` too."""
    raw_path: bytes = scope.get("raw_path") or b""
    return raw_path.partition(b"?")[0].decode("latin-1")


def roots_of(app: object) -> list[str]:
    """The root paths that an application sets by itself, below a guard that sees none: FastAPI's
    `root_path`, also within middleware. A client may begin its path so, and it is taken off."""
    roots = []
    seen: list[object] = []
    while app is not None and not any(app is each for each in seen):
        seen.append(app)
        root = getattr(app, "root_path", None)
        if isinstance(root, str) and root.rstrip("/"):
            roots.append(root)
        app = getattr(app, "app", None)  # what a middleware is around
    return roots


def without_root(path: str, root: str) -> str:
    """The path below `root`; as it is where it is not below."""
    if not root or not path.startswith(root):
        return path
    rest = path[len(root) :]
    return (rest or "/") if not rest or rest.startswith("/") else path


def paths_within(path: str, roots: Sequence[str]) -> set[str]:
    """What the most lenient router might leave of a path with one of the root paths taken off:
    Quart does so in the midst of a segment, and Litestar wherever it stands."""
    cut = {path.partition(each) for root in roots for each in (root, root.rstrip("/")) if each}
    return {inner for _, found, inner in cut if found}


def is_plain(path: str) -> bool:
    """Whether no router can read the path but as it stands: nothing to decode, to resolve, to
    fold or to drop. Most paths are, and need no normal form."""
    return (
        path.isascii()
        and path.isprintable()
        and "%" not in path
        and "//" not in path
        and "/." not in path
        and ";" not in path
        and "\\" not in path
        and " " not in path
        and path[:1] == "/"
        and path == path.lower()
    )


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


def checked_mount(mount: str) -> str:
    """The path that something is mounted under, without a slash at its end.

    Raises:
        SettingsError: it is no absolute path in normal form.
    """
    bare = mount.rstrip("/")
    if normal_form(mount) != (bare or "/"):
        raise SettingsError("mount must be an absolute path in normal form")
    return bare


def _below(prefixes: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{prefix}/" for prefix in prefixes)


def _checked(name: str, prefix: object) -> str:
    if not isinstance(prefix, str) or not prefix.startswith("/"):
        raise SettingsError(f"{name} must hold paths that begin with a slash")
    bare = prefix.rstrip("/")
    if normal_form(prefix) != (bare or "/"):
        raise SettingsError(f"{name} must hold paths in normal form, not {prefix!r}")
    return bare
