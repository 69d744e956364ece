"""What the judges need: real nodes led by the command line, and programs in Node.js.

Keeps three rules: every wait has a deadline, everything stays on loopback and in
folders of its own, and whatever was started here is ended here by its pid. At the end
it prints what was judged, by whom, and how it went. Knows nothing of the protocol.
"""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PACKAGES = HERE / "node_modules"
COMMAND_SECONDS_MAX = 60
ANSWER_SECONDS_MAX = 30
END_SECONDS_MAX = 15
JUDGES = (
    *("cbor2", "@auth0/cose", "libsodium-wrappers", "libp2p", "@libp2p/kad-dht"),
    *("@libp2p/gossipsub", "@modelcontextprotocol/inspector", "nostr-tools"),
)


class Node:
    """One node of ours, with a home of its own, led as a person would lead it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.home = folder / name
        self.made: dict[str, Any] = {}

    def start(self, *skills: str) -> None:
        """Make the home, start the node, and let it offer skills."""
        self.made = self.run("init", "--name", self.home.name, "--preset", "local")
        self.run("up", "--detach")
        for skill in skills:
            self.run("skill", "add", skill)

    def run(self, *words: str) -> Any:
        """The JSON a command answers; what it said otherwise, if it fails."""
        done = subprocess.run(
            [*self.command, "--json", *words],
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
        assert done.returncode == 0, f"nestmate {' '.join(words)}: {done.stderr}"
        return json.loads(done.stdout or "null")

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "nestmate", "--home", str(self.home)]

    @property
    def address(self) -> str:
        return self.made["address"]

    @property
    def multiaddr(self) -> str:
        return self.run("status")["addrs"][0]

    @property
    def peer(self) -> str:
        return self.run("status")["peer_id"]

    def end(self) -> None:
        """Stop it, in order or else by force."""
        file = self.home / "run" / "node.pid"
        if not file.exists():
            return
        pid = int(file.read_text().split()[0])
        with suppress(AssertionError, subprocess.TimeoutExpired):
            self.run("down")
        if not has_gone(pid, END_SECONDS_MAX):
            os.kill(pid, signal.SIGKILL)


class Peer:
    """A js-libp2p peer with an agent of its own, led by lines of JSON."""

    def __init__(self, name: str, *skills: str, network: str = "main") -> None:
        self.heard: list[dict[str, Any]] = []
        self._dialled: set[str] = set()
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            ["node", "js/peer.mjs", network, name, *skills],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.up = self.hears("up")

    @property
    def address(self) -> str:
        return self.up["address"]

    @property
    def peer(self) -> str:
        return self.up["peer"]

    @property
    def multiaddr(self) -> str:
        return f"{self.up['multiaddrs'][0]}/p2p/{self.peer}"

    def meet(self, node: Node) -> dict[str, Any]:
        """Dial a node, unless that was done; returns what its hello said."""
        if node.peer not in self._dialled:
            self._dialled.add(node.peer)
            self.do("dial", multiaddr=node.multiaddr)
        return self.hears("hello", address=node.address)

    def do(self, what: str, **details: Any) -> Any:
        """What the peer answers to a command."""
        number = len(self._answers) + 1
        self._answers[number] = queue.Queue()
        print(json.dumps({"id": number, "do": what, **details}), file=self._in)
        answer = self._answers[number].get(timeout=ANSWER_SECONDS_MAX)
        assert answer["ok"], f"{what}: {answer['answer']}"
        return answer["answer"]

    def hears(self, what: str, **details: Any) -> dict[str, Any]:
        """The first event of a kind with these details, past or to come."""

        def found() -> dict[str, Any] | None:
            fits = {"event": what, **details}.items()
            return next((each for each in self.heard if fits <= each.items()), None)

        with self._news:
            told = self._news.wait_for(found, ANSWER_SECONDS_MAX)
        assert told, f"no {what} with {details} within {ANSWER_SECONDS_MAX} s"
        return told

    def end(self) -> None:
        """Close its input, which ends it, and use force where that fails."""
        self._in.close()
        try:
            self._process.wait(END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(END_SECONDS_MAX)
        self._process.stdout.close()

    @property
    def _in(self) -> Any:
        return self._process.stdin

    def _read(self) -> None:
        for line in self._process.stdout:
            told = json.loads(line)
            if "id" in told:
                self._answers[told["id"]].put(told)
                continue
            with self._news:
                self.heard.append(_hashable(told))
                self._news.notify_all()


def _hashable(told: dict[str, Any]) -> dict[str, Any]:
    """An event whose lists are tuples, so that events can be compared by items."""
    return {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in told.items()
    }


def has_gone(pid: int, seconds: float) -> bool:
    """Whether a process that is no child of ours ends within so many seconds."""
    deadline = time.monotonic() + seconds
    while Path(f"/proc/{pid}").exists() or _answers_a_signal(pid):
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.05)
    return True


def _answers_a_signal(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="session", autouse=True)
def _parts() -> None:
    """Without Node.js and the packages there is nobody to judge."""
    assert shutil.which("node"), "Node.js is not there: install version 20 or newer"
    assert PACKAGES.is_dir(), "run scripts/interop, which installs the packages"


@pytest.fixture(scope="module")
def nodes() -> Iterator[Callable[..., Node]]:
    """``nodes("ann", "sing")`` is a running node with these skills; all are ended."""
    folder = Path(tempfile.mkdtemp(prefix="nest-"))
    known: dict[str, Node] = {}

    def node(name: str, *skills: str) -> Node:
        if name not in known:
            known[name] = Node(folder, name)
            known[name].start(*skills)
        return known[name]

    yield node
    for each in known.values():
        each.end()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def peers() -> Iterator[Callable[..., Peer]]:
    """``peers("jay", "sing")`` is a js-libp2p peer with these skills."""
    known: dict[str, Peer] = {}

    def peer(name: str, *skills: str) -> Peer:
        if name not in known:
            known[name] = Peer(name, *skills)
        return known[name]

    yield peer
    for each in known.values():
        each.end()


@pytest.fixture
def judged(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """``judged(by, what)`` puts a judge and what it saw into the table of verdicts."""

    def note(by: str, what: object = "") -> None:
        record_property("by", by)
        record_property("what", what)

    return note


def versions() -> list[str]:
    locked = json.loads((HERE / "package-lock.json").read_text())["packages"]
    found = [f"{name} {locked[f'node_modules/{name}']['version']}" for name in JUDGES]
    node = subprocess.run(
        ["node", "--version"], capture_output=True, text=True, check=False
    )
    return [f"Node.js {node.stdout.strip().lstrip('v')}", *found]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = []
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            if outcome == "passed" and report.when != "call":
                continue
            sentence = report.location[2].removeprefix("test_").replace("_", " ")
            said = dict(report.user_properties)
            verdict = "holds" if outcome == "passed" else "FAILS"
            rows.append((verdict, sentence, said.get("by", ""), said.get("what", "")))
    say = terminalreporter.write_line
    say("")
    for verdict, sentence, by, what in rows:
        say(f"{verdict}  {sentence}")
        if by or what:
            say(f"       {by}: {what}" if what else f"       {by}")
    if rows:
        say(f"judges: {', '.join(versions())}")
