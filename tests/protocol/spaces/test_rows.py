"""The rows of a space: what was put is seen at once, over what is on disk."""

import random

import pytest

from nestmate_protocol.spaces.engine.rows import Rows

PREFIX = b"s/1/"


def key(number):
    return b"t" + number.to_bytes(2)


def stirred(disk, seed):
    """Rows over a disk, some of them put or deleted since the last batch."""
    chance = random.Random(seed)
    others = [(b"s/0/t\0\1", b""), (PREFIX + b"s\0\1", b""), (b"s/2/t\0\1", b"")]
    disk.write([*others, *((PREFIX + key(n), b"") for n in range(0, 300, 3))])
    rows = Rows(disk, PREFIX)
    list(rows.keys(key(0), key(300)))
    for n in chance.choices(range(300), k=chance.randrange(200)):
        if chance.random() < 0.5:
            rows.put(key(n), b"")
        else:
            rows.delete(key(n))
    return rows


@pytest.mark.parametrize("seed", range(8))
def test_keys_are_those_of_a_scan_whatever_is_not_written_yet(disk, seed):
    rows = stirred(disk, seed)
    for low, high in ((0, 300), (50, 51), (100, 200), (7, 7)):
        scanned = [k for k, _ in rows.scan(b"t", start=key(low)) if k < key(high)]
        assert list(rows.keys(key(low), key(high))) == [PREFIX + k for k in scanned]


def test_keys_read_no_value(disk):
    disk.write([(PREFIX + key(n), b"") for n in range(9)])
    disk.pairs.clear()
    assert len(list(Rows(disk, PREFIX).keys(key(2), key(5)))) == 3
