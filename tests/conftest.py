"""What every test may ask for: a seed, a place to be at home, and patience.

Keeps three rules: chance comes from one seed that is printed when something fails, a
test waits for a fact, never for a time, and a file's tests run in one process, for
they share what they have started. Knows nothing of any one subject.
"""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import trio

INTEROP = Path(__file__).parent / "interop"
WITH_INTEROP = bool(os.environ.get("NESTMATE_INTEROP"))
SEED = int(os.environ.get("NESTMATE_SEED", "0"))
LOOK_SECONDS = 0.02
PATIENCE_SECONDS = 60.0  # costs nothing but where a test fails
STARTED = time.monotonic()
# Share nothing and take a second or more each: they fill what is left at the end.
LOOSE = "tests/simulation/test_scenarios.py"
FIGURES: list[tuple[str, str]] = []

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
    # A shell starts what runs in its background deaf to it, and so all its children.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(SEED)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    return True if collection_path == INTEROP and not WITH_INTEROP else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process more than there are cores, for much of a run is waiting."""
    return 0 if config.option.usepdb else (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        """Gives a file's tests to one process, in the order of collection."""

        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return nodeid if file == LOOSE else file

    config.option.loadscopereorder = False
    return ByFile(config, log)


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Among several processes what takes long goes first, and LOOSE last."""
    if hasattr(config, "workerinput"):
        slow = {each.path for each in items if each.get_closest_marker("slow")}
        items.sort(
            key=lambda each: (each.nodeid.startswith(LOOSE), each.path not in slow)
        )


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "teardown":
        told = (text for name, text in report.user_properties if name == "figure")
        FIGURES.extend((report.nodeid, text) for text in told)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    say = terminalreporter.write_line
    for _, text in sorted(FIGURES):
        say(text)
    if terminalreporter.stats.get("failed"):
        say(f"seed {SEED}: NESTMATE_SEED={SEED} scripts/test gives the same run")
    budget = config.getoption("--budget-seconds")
    if not budget:
        return
    if find_spec("scipy") is None:
        say("tests of bench/allocation left out: they need numpy and scipy;")
        say("  scripts/bench allocation --help adds them")
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
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """``figure(text)`` says at the end of the run what was measured, for people."""
    return lambda text: request.node.user_properties.append(("figure", text))


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
    """``until(fact, seconds=60)`` looks again and again until the fact is true."""

    def look(fact: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not fact():
            assert time.monotonic() < deadline, f"not so within {seconds} s"
            time.sleep(LOOK_SECONDS)

    return look


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """``await eventually(fact, seconds=60)``: as ``until``, for tests on trio."""

    async def look(
        fact: Callable[[], object], seconds: float = PATIENCE_SECONDS
    ) -> None:
        with trio.fail_after(seconds):
            while not fact():  # noqa: ASYNC110 - a fact about a process has no event
                await trio.sleep(LOOK_SECONDS)

    return look
