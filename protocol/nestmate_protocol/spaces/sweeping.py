"""Sweeping: the rows of spaces this node has left go, a little at a time.

A large space has millions of rows, and one batch must not hold up a node. What is still
to go is kept on disk, so that a restart goes on with it. This file knows nothing of
what the rows mean.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from nestmate_protocol.spaces.catalogue import Write, rows_of
from nestmate_protocol.spaces.engine.rows import Reader

PREFIX: Final = b"o/x/"
STEP_ROWS: Final = 2_048
STEP_MS: Final = 50


class Sweep:
    """What is to go."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._numbers: list[int] = []

    def __repr__(self) -> str:
        return f"<Sweep of {len(self._numbers)} spaces>"

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def last(self) -> int:
        """The highest number whose rows are still there, 0 for none."""
        return max(self._numbers, default=0)

    def restore(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Go on with what an earlier run has begun."""
        self._numbers += [int.from_bytes(key[len(PREFIX) :]) for key, _ in pairs]

    def begin(self, number: int) -> Write:
        """The rows of the space of this number are to go."""
        self._numbers.append(number)
        return PREFIX + number.to_bytes(4), b""

    def step(self) -> list[Write]:
        """The next rows that go, and the note that they were to, after the last one."""
        if not self._numbers:
            return []
        number = self._numbers[-1]
        found = islice(self._reader.scan(rows_of(number)), STEP_ROWS)
        writes: list[Write] = [(key, None) for key, _ in found]
        if len(writes) < STEP_ROWS:
            self._numbers.pop()
            writes.append((PREFIX + number.to_bytes(4), None))
        return writes
