"""wrk, a client that costs little beside the server it loads."""

import asyncio
import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.stacks import PATH

CONNECTIONS = 64
HOW_TO_GET_IT = (
    "wrk is not installed: apt-get install wrk, brew install wrk, or https://github.com/wg/wrk"
)
SCRIPT = """
local tokens = {%s}
local requests, next_one = {}, 0
function init(arguments)
  for number, token in ipairs(tokens) do
    requests[number] = wrk.format("GET", "%s", {["Authorization"] = "Bearer " .. token})
  end
end
function request()
  next_one = next_one %% #requests + 1
  return requests[next_one]
end
"""


class Load(NamedTuple):
    """What the server did."""

    requests: int
    seconds: float


def installed() -> bool:
    """Whether wrk is there."""
    return shutil.which("wrk") is not None


@contextlib.contextmanager
def script(tokens: Sequence[str]) -> Iterator[Path]:
    """A script for wrk that sends these tokens in turn: one alone the same way as thousands."""
    quoted = ",".join(json.dumps(token) for token in tokens)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(SCRIPT % (quoted, PATH))
        file.flush()
        yield Path(file.name)


async def load(port: int, lua: Path, seconds: int) -> Load:
    """Loads the server from 64 connections.

    Raises:
        RuntimeError: an answer was not 200, or wrk failed.
    """
    flags = ("-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "-s", str(lua))
    process = await asyncio.create_subprocess_exec(
        "wrk", *flags, f"http://127.0.0.1:{port}", stdout=asyncio.subprocess.PIPE
    )
    output = (await process.communicate())[0].decode()
    done = re.search(r"(\d+) requests in ([\d.]+)s", output)
    if done is None or "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"wrk says:\n{output}")
    return Load(int(done[1]), float(done[2]))
