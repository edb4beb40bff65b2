"""Unit files and environment files, as far as those of this directory go."""

import dataclasses
import shlex
from collections.abc import Iterator
from pathlib import Path

Command = list[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unit:
    """What a unit file asks for.

    Args:
        name: with the instance, as systemctl has it.
        start: the command; one that ends, if `is_oneshot`.
        start_post: what must succeed before the unit counts as started.
        stop: what comes before SIGTERM.
        runtime_directory: made before the start, by its name under /run.
        stop_seconds: after these it is killed.
    """

    name: str
    start: Command
    start_post: list[Command]
    stop: list[Command]
    environment_files: list[Path]
    working_directory: Path
    runtime_directory: str | None
    is_oneshot: bool
    stop_seconds: float

    def environment(self) -> dict[str, str]:
        """What its environment files say; a later one wins."""
        pairs = [pair for path in self.environment_files for pair in read_environment(path)]
        return dict(pairs)


def read_unit(path: Path, instance: str = "") -> Unit:
    """The unit of a file, or that instance of a template."""
    found: dict[str, list[str]] = {}
    for name, value in _assignments(path.read_text()):
        found.setdefault(name, []).append(value.replace("%i", instance))
    commands = {
        name: [shlex.split(line) for line in found.get(name, ())]
        for name in ("ExecStart", "ExecStartPost", "ExecStop")
    }
    return Unit(
        name=path.stem.replace("@", f"@{instance}"),
        start=commands["ExecStart"][0],
        start_post=commands["ExecStartPost"],
        stop=commands["ExecStop"],
        environment_files=[Path(text) for text in found.get("EnvironmentFile", ())],
        working_directory=Path(found["WorkingDirectory"][0]),
        runtime_directory=found.get("RuntimeDirectory", [None])[0],
        is_oneshot=found.get("Type") == ["oneshot"],
        stop_seconds=float(found.get("TimeoutStopSec", ["90"])[0]),
    )


def read_environment(path: Path) -> Iterator[tuple[str, str]]:
    """The variables of an environment file (systemd.exec(5), EnvironmentFile)."""
    for name, value in _assignments(path.read_text()):
        yield name, "".join(shlex.split(value))


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    """Name and value of each line that has them, those that go on with a backslash in one."""
    for line in text.replace("\\\n", " ").splitlines():
        if "=" in line and line[0] not in "#;":
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()
