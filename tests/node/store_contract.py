"""What every store promises, as one suite that each twin is put through.

A twin brings a ``disk``: something stores are opened on again and again, that can
crash, lose its tail, and be full. Knows nothing of how a twin keeps its promises.
"""

import pytest

from nestmate.errors import BusyError, ConflictError, StoreError

ABC = [(b"k/a", b"1"), (b"k/b", b"2"), (b"k/c", b"3")]


class StoreContract:
    """Inherit, and give a fixture ``disk``."""

    @pytest.fixture
    def store(self, disk):
        return disk.open()

    def test_what_was_written_is_read_again(self, store):
        store.write([(b"k", b"v"), (b"empty", b"")], durable=True)
        assert store.get(b"k") == b"v"
        assert store.get(b"empty") == b""
        assert store.get(b"other") is None

    def test_the_last_word_on_a_key_holds(self, store):
        store.write([(b"k", b"1"), (b"k", b"2"), (b"l", b"3")], durable=False)
        store.write([(b"k", b"4"), (b"l", b"5"), (b"l", None)], durable=False)
        store.write([(b"never", None)], durable=False)
        assert list(store.scan(b"")) == [(b"k", b"4")]

    def test_a_scan_goes_through_one_prefix_in_the_order_of_keys(self, store):
        others = [(b"j", b""), (b"k", b""), (b"k0", b""), (b"l", b"")]
        store.write([*reversed(ABC), *others], durable=False)
        assert list(store.scan(b"k/")) == ABC
        assert list(store.scan(b"k/", reverse=True)) == ABC[::-1]
        assert list(store.scan(b"m")) == []

    def test_a_scan_starts_where_it_is_told_in_both_directions(self, store):
        store.write([*ABC, (b"l", b"")], durable=False)
        assert list(store.scan(b"k/", start=b"k/b")) == ABC[1:]
        assert list(store.scan(b"k/", start=b"k/b\0")) == ABC[2:]
        assert list(store.scan(b"k/", start=b"a")) == ABC
        assert list(store.scan(b"k/", start=b"k/b", reverse=True)) == ABC[1::-1]
        assert list(store.scan(b"k/", start=b"z", reverse=True)) == ABC[::-1]
        assert list(store.scan(b"k/", start=b"k/", reverse=True)) == []

    def test_keys_alone_come_from_one_bound_to_below_another(self, store):
        store.write([*ABC, (b"z", b"")], durable=False)
        assert list(store.keys(b"k/a", b"k/c")) == [b"k/a", b"k/b"]
        assert list(store.keys(b"k/b\0", b"zz")) == [b"k/c", b"z"]
        assert list(store.keys(b"m", b"n")) == []

    def test_a_prefix_may_end_in_the_highest_byte(self, store):
        pairs = [(b"k\xff", b""), (b"k\xff\xff", b""), (b"\xff\xff", b"")]
        store.write([*pairs, (b"l", b"")], durable=False)
        assert list(store.scan(b"k\xff")) == pairs[:2]
        assert list(store.scan(b"\xff")) == pairs[2:]

    def test_a_scan_shows_the_moment_it_was_asked_for(self, store):
        store.write(ABC, durable=False)
        scan, keys = store.scan(b""), store.keys(b"k", b"z")
        store.write([(b"k/a", None), (b"k/b", b"new"), (b"k/d", b"4")], durable=False)
        assert list(scan) == ABC
        assert list(keys) == [key for key, _ in ABC]

    @pytest.mark.parametrize("key", [b"", b"\0", b"\0k", b"k" * 1_025])
    def test_a_key_no_store_takes_spoils_its_whole_batch(self, store, key):
        with pytest.raises(StoreError):
            store.write([(b"k", b"v"), (key, b"v")], durable=True)
        assert list(store.scan(b"")) == []

    def test_a_closed_store_is_the_same_when_opened_again(self, disk, store):
        store.write(ABC, durable=True)
        store.write([(b"k/a", None)], durable=False)
        store.close()
        store.close()
        again = disk.open()
        assert list(again.scan(b"")) == ABC[1:]
        assert (again.report.batches, again.report.lost_batches) == (2, 0)
        assert not again.report.repaired

    def test_a_closed_store_answers_nothing(self, store):
        store.close()
        for use in (store.get, store.scan):
            with pytest.raises(StoreError):
                use(b"k")
        with pytest.raises(StoreError):
            store.keys(b"k", b"l")
        with pytest.raises(StoreError):
            store.write([(b"k", b"v")], durable=False)

    def test_every_boot_is_an_incarnation_of_its_own(self, disk, store):
        seen = {store.report.incarnation}
        for _ in range(3):
            store.close()
            store = disk.open()
            seen.add(store.report.incarnation)
        assert {len(each) for each in seen} == {16}
        assert len(seen) == 4

    def test_a_store_in_use_is_refused_to_others_by_name(self, disk, store):
        with pytest.raises(BusyError, match=disk.pid):
            disk.open()
        store.write(ABC, durable=True)
        store.close()
        assert disk.open().report.batches == 1

    def test_a_durable_batch_outlives_a_crash_and_is_no_loss(self, disk, store):
        store.write(ABC, durable=True)
        disk.crash()
        again = disk.open()
        assert list(again.scan(b"")) == ABC
        assert again.report.lost_batches == 0

    def test_a_lost_tail_is_found_and_counted_at_boot(self, disk, store):
        for number in range(10):
            store.write([(b"k/%d" % number, b"v" * 100)], durable=True)
        store.vouch()
        disk.crash(lose_batches=3)
        again = disk.open()
        assert again.report.lost_batches == 3
        assert [key for key, _ in again.scan(b"")] == [b"k/%d" % n for n in range(7)]
        again.write(ABC, durable=True)
        again.close()
        assert disk.open().report.lost_batches == 0

    def test_a_full_disk_refuses_whole_batches_and_is_read_on(self, disk, store):
        store.write(ABC, durable=True)
        with disk.full():
            for _ in range(2):
                with pytest.raises(StoreError) as refusal:
                    store.write([(b"k/a", b"x"), (b"k/d", b"v" * 9_999)], durable=True)
                assert refusal.value.hint
                assert list(store.scan(b"")) == ABC
        store.write([(b"k/d", b"4")], durable=True)
        assert list(store.scan(b"")) == [*ABC, (b"k/d", b"4")]
        disk.crash()
        again = disk.open()
        assert list(again.scan(b"")) == [*ABC, (b"k/d", b"4")]
        assert again.report.lost_batches == 0

    def test_a_snapshot_fills_an_empty_store(self, disk, other_disk, store, tmp_path):
        pairs = [(b"k/%04d" % number, b"v" * number) for number in range(2_000)]
        store.write(pairs, durable=False)
        assert store.export(tmp_path / "snapshot") == 2_000
        assert (tmp_path / "snapshot").stat().st_mode & 0o777 == 0o600
        assert other_disk.restore(tmp_path / "snapshot") == 2_000
        restored = other_disk.open()
        assert list(restored.scan(b"")) == pairs
        assert restored.report.incarnation != store.report.incarnation
        assert restored.report.lost_batches == 0

    def test_a_snapshot_overwrites_neither_files_nor_stores(
        self, disk, other_disk, store, tmp_path
    ):
        store.write(ABC, durable=False)
        store.export(tmp_path / "snapshot")
        with pytest.raises(ConflictError):
            store.export(tmp_path / "snapshot")
        other = other_disk.open()
        other.write([(b"mine", b"v")], durable=False)
        other.close()
        with pytest.raises(ConflictError):
            other_disk.restore(tmp_path / "snapshot")
        assert list(other_disk.open().scan(b"")) == [(b"mine", b"v")]

    def test_a_snapshot_that_changed_by_a_bit_is_refused(
        self, disk, other_disk, store, tmp_path
    ):
        store.write(ABC, durable=False)
        store.export(tmp_path / "snapshot")
        whole = (tmp_path / "snapshot").read_bytes()
        for place in range(0, len(whole), 7):
            damaged = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
            (tmp_path / "snapshot").write_bytes(damaged)
            with pytest.raises(StoreError):
                other_disk.restore(tmp_path / "snapshot")
        assert list(other_disk.open().scan(b"")) == []

    def test_a_snapshot_cut_short_anywhere_is_refused(
        self, disk, other_disk, store, tmp_path
    ):
        store.write(ABC, durable=False)
        store.export(tmp_path / "snapshot")
        whole = (tmp_path / "snapshot").read_bytes()
        for size in range(len(whole)):
            (tmp_path / "snapshot").write_bytes(whole[:size])
            with pytest.raises(StoreError):
                other_disk.restore(tmp_path / "snapshot")
        assert list(other_disk.open().scan(b"")) == []
