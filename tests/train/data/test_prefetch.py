"""Reading threads end with their epoch, whatever ends it. The fixture no_thread_left checks each test here."""

import gc
import threading

import pytest

from embeddings.errors import InputError
from tests.train.data.rows import make_rows, write_rows, write_split
from train.data.prefetch import PrefetchThread


def reading_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("reader-")]


def test_closing_early(tmp_path, reader):
    write_split(tmp_path, [300], group=10)
    batches = reader(workers=3, prefetch=1).epoch(0)
    assert not reading_threads()
    next(batches)
    assert len(reading_threads()) == 3
    batches.close()
    assert not reading_threads()


def test_letting_go_of_the_iterator(tmp_path, reader):
    write_split(tmp_path, [300], group=10)
    batches = reader(workers=2, prefetch=1).epoch(0)
    next(batches)
    del batches
    gc.collect()
    assert not reading_threads()


def test_a_consumer_that_fails(tmp_path, reader):
    write_split(tmp_path, [300], group=10)
    with pytest.raises(ZeroDivisionError):
        for batch in reader(workers=2, prefetch=2).epoch(0):
            len(batch) / 0
    gc.collect()
    assert not reading_threads()


def test_an_error_in_one_thread_reaches_the_consumer_in_its_turn(tmp_path, reader):
    rows = make_rows(80)
    rows[70]["label"] = 3
    write_rows(tmp_path / "train" / "a.parquet", rows, group=10)
    read = []
    with pytest.raises(InputError, match=r"a.parquet', row group 7"):
        for batch in reader(workers=2, prefetch=1, batch_size=10).epoch(0):
            read.append(len(batch))
    assert not reading_threads()
    assert len(read) >= 1


def test_two_epochs_at_once(tmp_path, reader):
    write_split(tmp_path, [40])
    row_reader = reader()
    one, two = row_reader.epoch(0), row_reader.epoch(0)
    pairs = zip(one, two, strict=True)
    assert all(a.users.tolist() == b.users.tolist() for a, b in pairs)


def test_a_thread_runs_no_further_ahead_than_its_prefetch():
    too_far = threading.Event()

    def results():
        for i in range(100):
            if i > 5:
                too_far.set()
            yield i

    thread = PrefetchThread(results(), prefetch=3, name="reader-ahead")
    assert thread.get() == 0
    assert not too_far.wait(0.2)  # one given, three queued, one in hand
    thread.close()


def test_asking_for_more_than_there_is_does_not_wait_for_ever():
    thread = PrefetchThread(iter([1]), prefetch=3, name="reader-short")
    assert thread.get() == 1
    with pytest.raises(AssertionError, match="more results were asked for"):
        thread.get()
    thread.close()
