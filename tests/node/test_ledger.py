"""What was read and is not done: handed on in order, acked as far as all is done."""

import threading
from itertools import permutations

import pytest

from nestmate.cli.ledger import Ledger


def filled(*seqs: int) -> Ledger:
    ledger = Ledger(room=99)
    assert all(ledger.put({"seq": seq}) for seq in seqs)
    return ledger


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_nothing_is_acked_before_all_that_came_earlier_is_done(order):
    ledger = filled(1, 2, 3)
    entries = [ledger.take() for _ in range(3)]
    done = set()
    for place in order:
        acked = ledger.settle(entries[place])
        done.add(place)
        leading = next(count for count in range(4) if count not in done)
        assert acked == (leading if place < leading else None)


def test_the_end_of_a_page_is_acked_once_all_before_it_is_done():
    ledger = filled(5)
    assert ledger.turn_page(9) is None
    assert ledger.settle(ledger.take()) == 9
    assert ledger.turn_page(12) == 12


def test_an_old_event_that_is_handed_out_again_acks_nothing_that_is_not_done():
    ledger = filled(8, 3, 9)
    first, again, last = (ledger.take() for _ in range(3))
    assert ledger.settle(again) is None
    assert ledger.settle(first) == 8
    assert ledger.settle(last) == 9


def test_whoever_reads_is_held_up_until_there_is_room(until):
    ledger, handed = Ledger(room=1), []
    assert ledger.put({"seq": 1})

    def read() -> None:
        handed.append(ledger.put({"seq": 2}))

    reader = threading.Thread(target=read)
    reader.start()
    assert not handed
    assert ledger.take().seq == 1
    reader.join(60)
    assert handed == [True]


def test_what_waits_is_still_done_when_nothing_more_comes():
    ledger = filled(1)
    ledger.finish()
    assert ledger.take().seq == 1
    assert ledger.take() is None


def test_nothing_is_handed_on_when_it_is_over():
    ledger = filled(1)
    ledger.close()
    assert ledger.take() is None
    assert not ledger.put({"seq": 2})
