"""docs/security.md and docs/threat_model.md say which test holds what: each must exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs/security.md"
PAGES = (PAGE, TESTS.parent / "docs/threat_model.md")


def test_every_test_that_these_pages_name_exists() -> None:
    sources = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    defined = set(re.findall(r"def (test_\w+)\(", sources))

    for page in PAGES:
        named = set(re.findall(r"`(test_\w+)`", page.read_text()))
        assert named - defined == set()
        assert len(named) > 20


def test_every_row_names_a_test() -> None:
    """A claim without a test is a hope."""
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]

    assert [row for row in rows if "test_" not in row] == [
        row for row in rows if row.startswith(("| what holds", "| ---"))
    ]


def test_every_attacker_is_kept_out_by_tests() -> None:
    """But for those whom nobody is kept from here."""
    table, tests = PAGES[1].read_text().split("## Which tests stand for it")
    attackers = set(re.findall(r"(?m)^\| \*\*(.+?)\*\* \|", table))
    held = set(re.findall(r"(?m)^- \*\*(.+?)\*\*: `test_", tests))

    assert attackers - held == {
        "the network without TLS",
        "another user's browser: a script in your page (XSS)",
        "write access to the database, or code in the process",
    }
    assert held <= attackers
