"""python -m tests.released_schemas: writes down the database of the version at hand."""

import tempfile
from pathlib import Path

from tests.released_schemas import write

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        write(Path(directory))
