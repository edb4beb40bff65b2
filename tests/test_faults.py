"""The quick half of `python -m tests.faults`: what must hold, holds under each of these faults."""

from collections.abc import Iterator

import pytest

from tests.faults.catalogue import FAULTS, QUICK
from tests.faults.database_servers import Missing
from tests.faults.rig import Rig


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    """Database servers of our own, for all faults."""
    with Rig(quick=True) as rig:
        yield rig


@pytest.mark.parametrize("name", QUICK)
async def test_what_must_hold_holds_under(name: str, rig: Rig) -> None:
    """Nothing acknowledged is lost, no revoked token is taken, no 5xx but 503."""
    try:
        came = await FAULTS[name](rig)
    except Missing as missing:
        pytest.skip(f"this machine lacks {missing}")

    print(f"\n{name}: {came.figures}")
    assert came.breaches == []
