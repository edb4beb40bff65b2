"""Users in files: JSON lines, or CSV with a header. A line that can't be read is a refused one."""

import csv
import json
import os
import stat
from collections.abc import AsyncIterator, Iterator
from typing import Any, TextIO

from asgi_token_auth.accounts import Record

LONGEST_LINE = 1024 * 1024  # characters
MORE, FEWER = "has more fields than the header", "has fewer fields than the header"


async def read_json_lines(file: TextIO) -> AsyncIterator[Record]:
    """A record from each line that is not blank."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if not line.endswith("\n") and len(line) == LONGEST_LINE:
            while (rest := file.readline(LONGEST_LINE)) and not rest.endswith("\n"):
                pass
            yield Record(f"line {number}", {}, "is too long")
        elif line.strip():
            yield _from_json(f"line {number}", line)


async def read_csv(file: TextIO) -> AsyncIterator[Record]:
    """A record from each row; a blank field is an absent value."""
    reader = csv.reader(file, strict=True)
    header: list[str] | None = None
    for fields, fault in _rows(reader):
        origin = f"line {reader.line_num}"
        if header is None:
            header = [name.strip() for name in fields]
        elif fault:
            yield Record(origin, {}, fault)
        elif fields:
            fault = _count_fault(len(fields), len(header))
            yield Record(origin, dict(zip(header, fields, strict=False)), fault)


def share_read(file: TextIO) -> float | None:
    """How much of the file was read, 0 to 1; None: it is a pipe, which has no end yet."""
    state = os.fstat(file.fileno())
    if not stat.S_ISREG(state.st_mode) or not state.st_size:
        return None
    return min(os.lseek(file.fileno(), 0, os.SEEK_CUR) / state.st_size, 1.0)


def _rows(reader: Any) -> Iterator[tuple[list[str], str | None]]:
    while True:
        try:
            yield next(reader), None
        except StopIteration:
            return
        except csv.Error:
            yield [], "is not CSV"


def _count_fault(fields: int, names: int) -> str | None:
    return None if fields == names else MORE if fields > names else FEWER


def _from_json(origin: str, line: str) -> Record:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return Record(origin, {"text": line.rstrip("\r\n")}, "is not JSON")
    if not isinstance(fields, dict):
        return Record(origin, {"text": line.rstrip("\r\n")}, "is no JSON object")
    return Record(origin, fields)
