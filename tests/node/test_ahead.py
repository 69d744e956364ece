"""A store read ahead of its disk: what was promised is seen as if it were written."""

from hypothesis import given
from hypothesis import strategies as st

from nestmate.store.ahead import Ahead
from nestmate.store.memory import MemoryDisk

KEYS = st.binary(min_size=1, max_size=3).map(lambda raw: b"k" + raw)
WRITES = st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=2)), max_size=12)


def store_with(writes):
    store = MemoryDisk().open()
    store.write(writes, durable=True)
    return store


@given(WRITES, WRITES, KEYS, st.none() | KEYS, st.booleans())
def test_what_is_promised_reads_as_if_it_were_written(first, later, some, start, back):
    ahead = Ahead(store_with(first))
    ahead.promise(later)
    written = store_with([*first, *later])
    assert ahead.get(some) == written.get(some)
    way = {"start": start, "reverse": back}
    for prefix in (b"k", some[:2]):
        shown = list(ahead.scan(prefix, **way))
        assert shown == list(written.scan(prefix, **way))
    stretch = sorted((some, start or b"l"))
    assert list(ahead.keys(*stretch)) == list(written.keys(*stretch))


def test_what_is_kept_is_read_from_the_store_again():
    store = store_with([(b"k1", b"old")])
    ahead = Ahead(store)
    ahead.promise([(b"k1", b"new")])
    store.write([(b"k1", b"new")], durable=True)
    ahead.kept()
    store.write([(b"k1", b"newer")], durable=True)
    assert ahead.get(b"k1") == b"newer"
