"""The switchboard: carries between nodes, tells who called whom, and can be cut.

This process is node 1, and node 2 is a small one that sends back what it gets. Keeps
one rule: what is proved here is what a trial relies on. Knows nothing of libp2p.
"""

import os
import select
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nestmate.testnet.switchboard import Switchboard, Traffic, is_across, ways_around

SILENCE_SECONDS = 0.3
HALVES = [[1], [2]]
ECHO = """
import socket, sys, threading
def echo(sock):
    while data := sock.recv(4096):
        sock.sendall(data)
    sock.close()
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    threading.Thread(target=echo, args=(server.accept()[0],), daemon=True).start()
"""
CALL = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10) as sock:
    sys.exit(len(sock.recv(1)))
"""


def home(folder: Path, name: str, pid: int) -> str:
    """As much of a home as the relay looks at."""
    (folder / name / "run").mkdir(parents=True)
    (folder / name / "run" / "node.pid").write_text(str(pid))
    return str(folder / name)


@pytest.fixture
def echo():
    """Node 2: its process and its real port."""
    command = [sys.executable, "-c", ECHO]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture
def board(tmp_path, echo):
    homes = [home(tmp_path, "one", os.getpid()), home(tmp_path, "two", echo[0].pid)]
    with Switchboard(homes, tmp_path / "relay.log") as board:
        yield board
    assert (tmp_path / "relay.log").read_text() == ""


def call(board) -> socket.socket:
    return socket.create_connection(("127.0.0.1", board.ports[1]), 10)


def answer(sock, data: bytes) -> bytes:
    sock.sendall(data)
    return sock.recv(len(data))


def is_silent(sock) -> bool:
    """Whether nothing comes for a while, not even an end."""
    return not select.select([sock], [], [], SILENCE_SECONDS)[0]


def test_what_goes_to_a_port_reaches_the_node_behind_it_and_is_counted(board):
    with call(board) as sock:
        assert answer(sock, b"hello") == b"hello"
        traffic = board.count()
    assert traffic.carried == {(1, 2): 5, (2, 1): 5}
    assert traffic.standing == ((1, 2),)
    assert traffic.total == traffic.across(HALVES) == 10
    assert traffic.across([[1, 2], [3]]) == 0


def test_large_things_arrive_whole(board):
    data = os.urandom(3_000_000)
    got = bytearray()
    with call(board) as sock, ThreadPoolExecutor(1) as other:
        sent = other.submit(sock.sendall, data)
        while len(got) < len(data):
            got += sock.recv(65_536)
        sent.result()
    assert got == data


def test_nothing_crosses_a_cut_and_what_waited_arrives_after_it(board):
    with call(board) as sock:
        assert answer(sock, b"before") == b"before"
        cut = board.cut(HALVES)
        sock.sendall(b"during")
        assert is_silent(sock)
        healed = board.heal()
        assert sock.recv(6) == b"during"
    assert healed.carried == cut.carried
    assert board.count().across(HALVES) == cut.across(HALVES) + 12


def test_a_cut_between_others_is_not_noticed(board):
    with call(board) as sock:
        board.cut([[1, 2], [3]])
        assert answer(sock, b"hello") == b"hello"


def test_a_call_across_a_cut_hangs_and_is_answered_after_it(board):
    board.cut(HALVES)
    with call(board) as sock:
        sock.sendall(b"anybody?")
        assert is_silent(sock)
        assert board.count().hung == 1
        board.heal()
        assert sock.recv(8) == b"anybody?"


def test_a_hung_call_that_is_given_up_is_forgotten(board, until):
    board.cut(HALVES)
    sockets = Path(f"/proc/{board.pid}/fd")
    with call(board):
        until(lambda: board.count().hung == 1)
        before = len(list(sockets.iterdir()))
    until(lambda: len(list(sockets.iterdir())) == before - 1)


def test_the_end_of_a_connection_does_not_cross_a_cut_either(board, echo):
    with call(board) as sock:
        assert answer(sock, b"hello") == b"hello"
        board.cut(HALVES)
        echo[0].kill()
        echo[0].wait()
        assert is_silent(sock)
        board.heal()
        assert sock.recv(1) == b""


def test_whoever_is_no_node_is_not_carried(board):
    command = [sys.executable, "-c", CALL, str(board.ports[1])]
    assert subprocess.run(command, check=False, timeout=30).returncode == 0
    traffic = board.count()
    assert traffic.strangers == 1
    assert traffic.total == 0


def test_a_way_around_is_found_and_the_way_through_is_none(board, echo):
    process, port = echo
    with call(board) as sock:
        assert answer(sock, b"hello") == b"hello"
        assert ways_around([process.pid], board.pid) == []
        with socket.create_connection(("127.0.0.1", port)) as direct:
            assert answer(direct, b"hello") == b"hello"  # it is accepted by now
            assert len(ways_around([process.pid], board.pid)) == 1


@pytest.mark.parametrize(
    ("kind", "address"), [(socket.SOCK_DGRAM, "127.0.0.1"), (socket.SOCK_STREAM, "")]
)
def test_sockets_that_reach_beyond_are_ways_around(board, kind, address):
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind((address, 0))
        if kind is socket.SOCK_STREAM:
            sock.listen()
        port = f":{sock.getsockname()[1]}"
        found = ways_around([os.getpid()], board.pid)
        assert [each for each in found if port in each]


def test_the_relay_ends_with_whoever_started_it(tmp_path):
    with Switchboard([home(tmp_path, "one", 0)], tmp_path / "log") as board:
        process = Path(f"/proc/{board.pid}")
        assert process.exists()
    assert not process.exists()


def test_halves_part_those_in_different_ones_only():
    halves = [(1, 2), (3, 4)]
    assert is_across((1, 3), halves)
    assert not is_across((1, 2), halves)
    assert not is_across((4, 3), halves)
    traffic = Traffic({(1, 3): 5, (1, 2): 7, (4, 1): 1}, (), 0, 0)
    assert traffic.across(halves) == 6
