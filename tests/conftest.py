"""What every test may ask for: a seed, a place to be at home, and patience.

Keeps two rules: chance comes from one seed that is printed when something fails, and
a test waits for a fact, never for a time. Knows nothing of any one subject.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import trio

INTEROP = Path(__file__).parent / "interop"
WITH_INTEROP = bool(os.environ.get("NESTMATE_INTEROP"))
SEED = int(os.environ.get("NESTMATE_SEED", "0"))
LOOK_SECONDS = 0.02
STARTED = time.monotonic()

hypothesis.settings.register_profile(
    "nestmate",
    deadline=None,  # two cores are shared; a slow example is no failure
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("nestmate")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--budget-seconds",
        type=int,
        default=0,
        help="say at the end how much of this many seconds the run took",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(SEED)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    return True if collection_path == INTEROP and not WITH_INTEROP else None


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    say = terminalreporter.write_line
    if terminalreporter.stats.get("failed"):
        say(f"seed {SEED}: NESTMATE_SEED={SEED} scripts/test gives the same run")
    budget = config.getoption("--budget-seconds")
    if not budget:
        return
    if INTEROP.exists() and not WITH_INTEROP:
        say("tests/interop left out: it fetches foreign parts; run scripts/interop")
    took = time.monotonic() - STARTED
    verdict = "within" if took <= budget else "OVER"
    say(f"{took:.0f} s, {verdict} the budget of {budget} s on {os.cpu_count()} cores")


@pytest.fixture
def seed() -> int:
    """Where a test's chance comes from; NESTMATE_SEED chooses another."""
    return SEED


@pytest.fixture
def tmp_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home that does not exist yet, its path short enough for a Unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="nest-"))
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("NESTMATE_HOME", str(folder / "home"))
    yield folder / "home"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def until() -> Callable[..., None]:
    """``until(fact, seconds=10)`` looks again and again until the fact is true."""

    def look(fact: Callable[[], object], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not fact():
            assert time.monotonic() < deadline, f"not so within {seconds} s"
            time.sleep(LOOK_SECONDS)

    return look


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """``await eventually(fact, seconds=10)``: as ``until``, for tests on trio."""

    async def look(fact: Callable[[], object], seconds: float = 10.0) -> None:
        with trio.fail_after(seconds):
            while not fact():  # noqa: ASYNC110 - a fact about a process has no event
                await trio.sleep(LOOK_SECONDS)

    return look
