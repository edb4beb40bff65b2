"""Every code block of README.md and docs/ runs as it stands: `documentation` says how."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from documentation import ROOT, Page, parse
from markdown_it import MarkdownIt

from asgi_token_auth.cli import parser

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MOST_SKIPPED = 8


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_runs_as_it_stands(path: Path, tmp_path: Path) -> None:
    """Python and shell are run, data is parsed; what is printed is what the page shows."""
    page = Page(path, tmp_path)
    try:
        page.run()
    finally:
        page.close()

    if page.missing:  # the rest was good; pytest says at its end what was not tried
        pytest.skip("some of its blocks: " + "; ".join(page.missing))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_block_is_left_out(path: Path) -> None:
    """Each is fenced and found by the runner; indented ones have no language."""
    tokens = MarkdownIt().parse(path.read_text())
    fenced = [token.map[0] + 1 for token in tokens if token.type == "fence" and token.map]

    found = {example.line for example in parse(path)}

    assert [token.map for token in tokens if token.type == "code_block"] == []
    assert set(fenced) <= found


def headings(path: Path) -> set[str]:
    """What links may name after `#`, as GitHub makes it of headings."""
    lines = re.findall(r"(?m)^#+ (.+)$", path.read_text())
    return {re.sub(r"[^\w\- ]", "", line).strip().lower().replace(" ", "-") for line in lines}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_to_a_page_or_a_file_leads_there(path: Path) -> None:
    """And to the heading that it names."""
    for target, anchor in re.findall(r"\]\((?!\w+:)([^)#]*)#?([^)]*)\)", path.read_text()):
        there = path.parent / target if target else path
        assert there.exists(), target
        assert not anchor or anchor in headings(there), (target, anchor)


def test_few_blocks_are_skipped_and_each_says_why() -> None:
    """A skipped block is a claim that nobody checks."""
    skips = [
        (path.name, arguments)
        for path in PAGES
        for arguments in re.findall(r"<!--+ skip: (.+?) -->", path.read_text())
    ]

    assert all(
        re.fullmatch(r"(?:next|start) (\"|if\(.+reason=\").{10,}", given) for _, given in skips
    ), skips
    unconditional = [skip for skip in skips if not skip[1].startswith("next if(")]
    assert len(unconditional) <= MOST_SKIPPED, unconditional


def subparsers(of: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """All commands below, by their names."""
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield name, below
                yield from ((f"{name} {inner}", each) for inner, each in subparsers(below))


def documented() -> str:
    return "\n".join(path.read_text() for path in PAGES)


def test_every_command_and_option_is_documented() -> None:
    """What an operator can type is on some page; --help and --app need no more than README."""
    text = documented()
    parsers = dict(subparsers(parser()))
    commands = [name for name in parsers if name != "outbox"]
    options = {option for each in parsers.values() for option in each._option_string_actions}

    assert [name for name in commands if name not in text] == []
    undocumented = {option for option in options if not re.search(rf"{option}\b", text)}
    assert undocumented - {"-h", "--help"} == set()


def test_every_documented_command_and_option_is_there() -> None:
    """A page that names a command which is none misleads whoever is in a hurry."""
    parsers = dict(subparsers(parser()))
    lines = re.findall(r"asgi-token-auth (?:--app \S+ )?([a-z-]+\b[^`\n|;)#]*)", documented())
    assert len(lines) > 20
    for line in lines:
        words = line.split()
        name = " ".join(words[:2]) if words[0] == "outbox" else words[0]
        assert name in parsers, line
        given = {word.split("=")[0] for word in words if word.startswith("--")}
        assert given <= set(parsers[name]._option_string_actions), line
