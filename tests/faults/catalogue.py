"""All faults by name; which are quick; and which are put to the test elsewhere."""

from tests.faults import clients, clocks, disks, networks, outages, processes
from tests.faults.rig import Fault

ALL: tuple[Fault, ...] = (
    outages.down_at_start,
    outages.restart_immediate,
    outages.mariadb_killed,
    outages.sessions_terminated,
    outages.pool_exhausted,
    outages.no_connection_left,
    networks.packets_lost,
    networks.packets_lost_mariadb,
    networks.dark_at_start,
    networks.dark_at_start_mariadb,
    networks.ended_in_the_dark,
    networks.ended_in_the_dark_mariadb,
    networks.slow_network,
    networks.answer_to_commit_lost,
    networks.killed_after_commit,
    clients.clients_disconnect,
    clients.login_storm,
    clients.same_user_postgresql,
    clients.same_user_mariadb,
    processes.rolling_restart,
    processes.workers_killed,
    processes.ended_while_database_hangs,
    processes.stopped_and_continued,
    processes.sqlite_many_writers,
    processes.sqlite_locked,
    disks.sqlite_disk_full,
    disks.postgresql_disk_full,
    clocks.clock_fast,
    clocks.clock_slow,
    clocks.clock_hours_ahead,
    clocks.clock_hours_behind,
)
FAULTS = {fault.__name__: fault for fault in ALL}
QUICK = (
    "restart_immediate",
    "sessions_terminated",
    "packets_lost",
    "answer_to_commit_lost",
    "clients_disconnect",
    "same_user_mariadb",
    "rolling_restart",
    "ended_while_database_hangs",
    "sqlite_locked",
    "sqlite_disk_full",
    "clock_fast",
)
"""Those that the test suite runs."""

ELSEWHERE = {
    "revocation while the database stalls, dies or a process stands still": (
        "tests/test_revocation_bound.py"
    ),
    "mail provider down, slow, or cut off after it accepted": "tests/test_outbox.py",
    "a sender killed at each point; four senders side by side; poison mails": (
        "tests/test_outbox.py"
    ),
    "requests cancelled, overtaken and given up at awkward moments": (
        "tests/test_interleavings.py, tests/test_races.py"
    ),
    "ten million rows": "python -m benchmarks.growth",
}
