"""A foreign negentropy reconciles with ours: equal bytes, and exactly what differs.

It begins, as its clients do, and ours answers. Its varints hold 32 bits, so times are
seconds here; ours are hybrid timestamps elsewhere. Only ``scripts/interop`` collects
this file.
"""

import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nestmate_protocol.spaces.reconcile import Negentropy
from nestmate_protocol.spaces.summary import Summary

HERE = Path(__file__).parent
LIMIT = 60_000
MESSAGES_MAX = 200


class Rows:
    """Keys in order, as a store would give them."""

    def __init__(self, keys: set[bytes]) -> None:
        self.keys = sorted(keys)

    def scan(self, start: bytes, stop: bytes) -> Iterator[bytes]:
        return iter([key for key in self.keys if start <= key < stop])


class Foreign:
    """The other implementation, in a process of its own."""

    def __init__(self) -> None:
        command = ["node", "js/negentropy.mjs"]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, cwd=HERE, **pipes)

    def say(self, **said: Any) -> dict[str, Any]:
        print(json.dumps(said), file=self._process.stdin, flush=True)
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        return told

    def begin(self, keys: set[bytes]) -> bytes:
        items = [[int.from_bytes(key[:8]), key[8:].hex()] for key in sorted(keys)]
        return bytes.fromhex(self.say(items=items, limit=LIMIT)["message"])

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(15)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def foreign() -> Iterator[Foreign]:
    other = Foreign()
    yield other
    other.close()


def made_up(seed: str, count: int, *, alike: bool = False) -> set[bytes]:
    """Keys at seconds by chance; ``alike`` puts many of them in one second."""
    chance = random.Random(seed)
    span = 3 if alike else 2**31
    return {
        chance.randrange(span).to_bytes(8) + chance.randbytes(32) for _ in range(count)
    }


CASES = [
    (0, 0, 0, False),
    (0, 40, 0, False),
    (0, 0, 40, False),
    (31, 1, 0, False),
    (500, 3, 7, True),
    (5_000, 0, 0, False),
    (20_000, 300, 700, False),
]


def reconciled(foreign: Foreign, other: set[bytes], mine: set[bytes]) -> tuple:
    """What the foreign side has and needs as it says, and the bytes that took."""
    message, octets = foreign.begin(other).hex(), 0
    have: set[str] = set()
    need: set[str] = set()
    side = Negentropy(Summary(Rows(mine)), LIMIT)
    for _ in range(MESSAGES_MAX):
        answer = side.answer(bytes.fromhex(message), began=False)
        octets += len(answer) + len(message) // 2
        told = foreign.say(answer=answer.hex())
        have |= set(told["have"])
        need |= set(told["need"])
        message = told["message"]
        if message is None:
            return have, need, octets
    raise AssertionError("no end")


@pytest.mark.parametrize("case", CASES)
def test_a_foreign_negentropy_finds_with_ours_exactly_what_differs(
    foreign, judged, case
):
    both, theirs, ours, alike = case
    shared = made_up(f"both {both}", both, alike=alike)
    other = shared | made_up(f"theirs {theirs}", theirs, alike=alike)
    mine = shared | made_up(f"ours {ours}", ours, alike=alike)
    have, need, octets = reconciled(foreign, other, mine)
    assert have == {key[8:].hex() for key in other - mine}
    assert need == {key[8:].hex() for key in mine - other}
    judged("nostr-tools negentropy", f"{both} alike, {theirs + ours} not: {octets} B")


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 100, 5_000])
def test_a_foreign_negentropy_begins_with_the_same_bytes_as_ours(
    foreign, judged, count
):
    keys = made_up(f"begin {count}", count, alike=count == 100)
    message = foreign.begin(keys)
    assert message == Negentropy(Summary(Rows(keys)), LIMIT).begin()
    judged("nostr-tools negentropy", f"{count} keys: {len(message)} B")
