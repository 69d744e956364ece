"""The documentation is whole, its links lead somewhere, and what it shows is true.

Every operation, command, setting, error and record kind has a heading. Every block
marked ``console`` runs, in order, page by page, with real processes in a home of its
own, and prints what the page says; in expected output ``…`` stands for anything, alone
on a line for any lines, and ``[..]`` for one word. Knows nothing of what is documented.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from urllib.parse import unquote

import pytest

from nestmate import errors
from nestmate.cli.registry import COMMANDS
from nestmate.config import Config, Limits
from nestmate.operations.table import OPERATIONS
from nestmate.testnet.processes import Process
from nestmate_protocol.effects import Code
from nestmate_protocol.errors import Fault
from nestmate_protocol.records import Kind

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.rglob("*.md")])
ALL_PAGES = [*PAGES, ROOT / "CHANGELOG.md", *(ROOT / ".github").glob("*.md")]
PAGE_SECONDS_MAX = 180
STOP_SECONDS_MAX = 60
PAGES_AT_A_TIME = 2
MARK = "\x1e"


# --- every thing has a heading ---


def without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def headings_of(text: str) -> list[str]:
    return re.findall(r"^#{1,6} +(.+?) *$", without_blocks(text), flags=re.MULTILINE)


def named_in(*folders: str) -> set[str]:
    """What stands between backticks in the headings below these folders of docs/."""
    pages = [page for folder in folders for page in (DOCS / folder).rglob("*.md")]
    headings = [each for page in pages for each in headings_of(page.read_text())]
    return {name for each in headings for name in re.findall(r"`([^`]+)`", each)}


def kinds_of_error(kind: type[errors.NodeError]) -> Iterator[str]:
    yield kind.code
    for below in kind.__subclasses__():
        yield from kinds_of_error(below)


def test_every_operation_has_a_heading():
    assert {each.name for each in OPERATIONS} - named_in("reference") == set()


def test_every_command_has_a_heading():
    assert {f"nestmate {path}" for path in COMMANDS} - named_in("reference") == set()


def test_every_setting_has_a_heading():
    settings = {each.name for each in fields(Config)} - {"limits"}
    settings |= {f"limits.{each.name}" for each in fields(Limits)}
    assert settings - named_in("reference") == set()


def test_every_error_and_every_fault_has_a_heading():
    codes = {each.value for each in Code} | set(kinds_of_error(errors.NodeError))
    faults = {each.value for each in Fault}
    assert (codes | faults) - named_in("reference") == set()


def test_every_kind_of_record_has_a_heading_in_the_specification():
    assert {each.value for each in Kind} - named_in("spec") == set()


# --- links lead somewhere ---


def anchor_of(heading: str) -> str:
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def links_of(page: Path) -> Iterator[tuple[Path, str]]:
    """The files a page links to, and the headings within them."""
    text = re.sub(r"`[^`\n]*`", "", without_blocks(page.read_text()))
    for link in re.findall(r"\]\(<?([^)\s>]+)>?\)", text):
        if not re.match(r"[a-z]+:", link):
            path, _, anchor = unquote(link).partition("#")
            yield (page.parent / path).resolve() if path else page, anchor


def broken_links(page: Path) -> Iterator[str]:
    for target, anchor in links_of(page):
        if not target.exists():
            yield f"{page.name} links to {target}, which is not there"
        elif anchor:
            anchors = {anchor_of(each) for each in headings_of(target.read_text())}
            if anchor not in anchors:
                yield f"{page.name} links to #{anchor}, which {target.name} lacks"


def test_every_link_within_the_documentation_leads_somewhere(tmp_path):
    planted = tmp_path / "planted.md"
    planted.write_text("# Here\n[a](no.md) [b](#there) [c](#here)\n")
    assert len(list(broken_links(planted))) == 2
    assert [each for page in ALL_PAGES for each in broken_links(page)] == []


def test_every_page_can_be_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        targets = {target for target, _ in links_of(page) if target.suffix == ".md"}
        waiting += targets - reached
    assert set(PAGES) - reached == set()


# --- what is shown is true ---


def shown_in(text: str) -> list[tuple[str, str]]:
    """Each command of the console blocks, and the output shown below it."""
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    shown: list[tuple[str, str]] = []
    for line in "".join(blocks).splitlines(keepends=True):
        if line.startswith("$ "):
            shown.append((line[2:], ""))
        elif line.startswith("> ") and shown and not shown[-1][1]:
            shown[-1] = (shown[-1][0] + line[2:], "")
        else:
            assert shown, f"output without a command: {line}"
            shown[-1] = (shown[-1][0], shown[-1][1] + line)
    return shown


def pattern_of(expected: str) -> re.Pattern[str]:
    wild = {"…": r"[^\n]*", "[..]": r"[^\s]+"}
    lines = []
    for line in expected.rstrip().split("\n"):
        if line.strip() == "…":
            lines.append(r"(?:[^\n]*\n)*?")
            continue
        parts = re.split(r"(…|\[\.\.\])", line.rstrip())
        lines.append(
            "".join(wild.get(part) or re.escape(part) for part in parts) + "\n"
        )
    return re.compile("".join(lines))


def script_of(shown: list[tuple[str, str]]) -> str:
    """One bash script for a page: after each command its status, between marks."""
    lines = ["was=0"]
    for command, _ in shown:
        lines += [f"(exit $was); eval {shlex.quote(command)}"]
        lines += [f"was=$?; printf '{MARK}%d{MARK}' $was"]
    return "\n".join(lines)


def untruths(text: str, home: Path) -> list[str]:
    """What a page shows that is not so when its commands run in this home."""
    shown = shown_in(text)
    happened = outputs_of(script_of(shown), home).split(MARK)
    found = []
    for place, (command, expected) in enumerate(shown):
        output, status = (*happened[2 * place : 2 * place + 2], "", "none")[:2]
        asked_for = "echo $?" in "".join(
            each for each, _ in shown[place + 1 : place + 2]
        )
        if status != "0" and not asked_for:
            found.append(f"$ {command}ended with {status}:\n{output}")
        elif expected and not pattern_of(expected).fullmatch(output):
            found.append(f"$ {command}printed\n{output}instead of\n{expected}")
    return found


def outputs_of(script: str, home: Path) -> str:
    """All a script prints; a file takes it, since nodes outlive the script."""
    (home / "script").write_text(script)
    environment = {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "COLUMNS": "80",
    }
    with (home / "printed").open("w") as printed:
        bash = subprocess.Popen(
            ["bash", "script"],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with suppress(subprocess.TimeoutExpired):
        bash.wait(PAGE_SECONDS_MAX)
    with suppress(ProcessLookupError):  # what the page left running in the background
        os.killpg(bash.pid, signal.SIGTERM)
    bash.wait()
    return (home / "printed").read_text()


@contextmanager
def made_home() -> Iterator[Path]:
    """A home with nothing in it; at the end no node that began in it still runs."""
    home = Path(tempfile.mkdtemp(prefix="nest-"))
    try:
        yield home
    finally:
        pids = [int(f.read_text().split()[0]) for f in home.rglob("node.pid")]
        left = [Process.of(pid) for pid in pids]
        for node in left:
            node.tell(signal.SIGTERM)
        stopped = [node.wait_gone(STOP_SECONDS_MAX) for node in left]
        shutil.rmtree(home)
        assert all(stopped)


def untruths_at_home(page: Path) -> list[str]:
    text = page.read_text()
    if not shown_in(text):
        return []
    with made_home() as home:
        return untruths(text, home)


@pytest.fixture
def empty_home():
    with made_home() as home:
        yield home


@pytest.fixture(scope="module")
def untruths_of(request):
    """What pages show that is not so; they run side by side, for they mostly wait."""
    run = [each for each in request.session.items if "untruths_of" in each.fixturenames]
    pages = [each.callspec.params["page"] for each in run]
    with ThreadPoolExecutor(PAGES_AT_A_TIME) as threads:
        found = {page: threads.submit(untruths_at_home, page) for page in pages}
        yield lambda page: found[page].result()
        threads.shutdown(cancel_futures=True)


def test_the_runner_sees_what_is_not_so(empty_home):
    block = "```console\n$ {}\n```\n".format
    true = ("echo a b\na [..]", "echo a b\na…", "printf 'a\\nb\\nc\\n'\n…\nc", "x=1")
    false = ("echo a\nb", "false", "echo a b\n[..]", "exit 0")
    assert untruths("".join(map(block, true)), empty_home) == []
    for each in false:
        assert untruths(block(each), empty_home), each


def test_the_runner_keeps_variables_and_takes_a_shown_status_for_meant(empty_home):
    page = "```console\n$ x=7\n$ (exit $x)\n$ echo $?\n7\n```\n"
    assert untruths(page, empty_home) == []


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_shows_is_true(page, untruths_of):
    assert untruths_of(page) == []
