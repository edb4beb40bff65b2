"""All faults by name; which are quick; and which are put to the test elsewhere."""

from tests.faults import networks, outages
from tests.faults.rig import Fault

ALL: tuple[Fault, ...] = (
    outages.down_at_start,
    outages.restart_immediate,
    outages.mariadb_killed,
    outages.sessions_terminated,
    outages.pool_exhausted,
    outages.no_connection_left,
    networks.packets_lost,
    networks.slow_network,
    networks.answer_to_commit_lost,
    networks.killed_after_commit,
)
FAULTS = {fault.__name__: fault for fault in ALL}
