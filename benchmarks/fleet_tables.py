"""The figures of `fleet`, as tables and in words."""

from typing import Any

from benchmarks.fleet_outlook import PARTS, USERS_PER_PROCESS

MOST_CONNECTIONS = 500  # that PostgreSQL is commonly let have


def describe(figures: dict[str, Any]) -> str:
    """All tables."""
    tables = (
        _describe_costs(figures),
        _describe_fleets(figures["fleets"]),
        _describe_memory(figures["memory_shares"]),
        *(_describe_bends(routing, bends) for routing, bends in figures["bends"].items()),
        _describe_remedies(figures["remedies"]),
        _describe_check(figures["check"]),
    )
    return "\n\n".join("\n".join(table) for table in tables)


def _describe_costs(figures: dict[str, Any]) -> list[str]:
    times = [f"{time:>10.1f}  {name}" for name, time in figures["microseconds"].items()]
    token_bytes = figures["costs"]["token_bytes"]
    return ["microseconds of PostgreSQL each", *times, f"{token_bytes:>10.0f}  bytes a token"]


def _describe_fleets(fleets: list[dict[str, Any]]) -> list[str]:
    lines = [
        "per second at the peak, any process serving any request; cores of the database;"
        " tokens in use in each process",
        "processes  users  requests    feed reads x rows    misses refreshes  memory last used"
        f"  logins{''.join(f'{part:>10}' for part in PARTS)}  token rows    disk  in use",
    ]
    for fleet in fleets:
        overflow = "!" if fleet["feed_overflows"] else " "
        used = "".join(f"{fleet['cores'][part]:>10.2f}" for part in PARTS)
        lines.append(
            f"{fleet['processes']:>9,}{fleet['users'] / 1e6:>6.0f}M{fleet['requests']:>10,.0f}"
            f"{fleet['feed_reads']:>11,.0f} x{fleet['rows_per_feed_read']:>7,.1f}{overflow}"
            f"{fleet['misses']:>9,.0f}{fleet['refreshes']:>10,.0f}{fleet['from_memory']:>8.1%}"
            f"{fleet['last_used_rows']:>10,.0f}{fleet['logins']:>8,.0f}{used}"
            f"{fleet['token_rows'] / 1e6:>11.1f}M{fleet['token_bytes'] / 1e9:>6.1f}GB"
            f"{fleet['cached_tokens']:>8,.0f}"
        )
    return lines


def _describe_memory(shares: dict[str, Any]) -> list[str]:
    sizes = next(iter(shares.values()))
    lines = [
        "requests answered from memory, where a client's are spread over so many processes"
        " (1: sticky)",
        f"{'requests a minute':20}{''.join(f'{size:>9}' for size in sizes)}",
    ]
    for pace, by_size in shares.items():
        lines.append(f"{pace:>17}   {''.join(f'{share:>9.1%}' for share in by_size.values())}")
    return lines


def _describe_bends(routing: str, found: dict[str, Any]) -> list[str]:
    lines = [
        f"growing by a process for every {USERS_PER_PROCESS:,} accounts, {routing} routing",
        f"{'cores':10}{'one at':>16}{'eight at':>16}{'largest':>10}{'grows by':>11}",
    ]
    for part, bend in found.items():
        reached = "".join(f"{_fleet_size(size):>16}" for size in bend["at_cores"].values())
        lines.append(f"{part:10}{reached}{bend['largest']:>10.2f}  size^{bend['power']:.2f}")
    first = min(found, key=lambda part: found[part]["at_cores"]["1"] or float("inf"))
    steepest = max(found, key=lambda part: found[part]["power"])
    return [
        *lines,
        f"First to need a core: {first}. Growing fastest: {steepest}. Connections: one a process"
        f" at least, so beyond some {MOST_CONNECTIONS} processes a pooler in front of PostgreSQL.",
    ]


def _fleet_size(processes: int | None) -> str:
    if processes is None:
        return "-"
    return f"{processes:,}, {processes * USERS_PER_PROCESS / 1e6:,.1f}M"


def _describe_remedies(found: dict[str, Any]) -> list[str]:
    columns = (*PARTS, "all", "replica")
    lines = [
        "cores with the largest of these fleets",
        f"{'':34}{''.join(f'{name:>10}' for name in columns)}",
    ]
    for name, used in found.items():
        lines.append(f"{name:34}{''.join(f'{used[column]:>10.2f}' for column in columns)}")
    return lines


def _describe_check(checks: list[dict[str, Any]]) -> list[str]:
    names = checks[0]["rates"]
    lines = ["per second, on paper / simulated"]
    lines.append(f"{'processes':20}{'users':>9}{''.join(f'{name:>20}' for name in names)}")
    for check in checks:
        routing = "sticky" if check["sticky"] else "random"
        pairs = [f"{paper:.2f} / {seen:.2f}" for paper, seen in check["rates"].values()]
        lines.append(
            f"{check['processes']:>9,}  {routing:9}{check['users']:>9,}"
            f"{''.join(f'{pair:>20}' for pair in pairs)}"
        )
    return lines
