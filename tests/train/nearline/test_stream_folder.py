"""A stream's folder: the next file, gaps, files that come again, damaged ones, others; each said once and counted."""

import os

import pyarrow as pa
import pytest

from recsys.stream.stream_writer import StreamWriter
from train.nearline.stream_folder import GAP_S, StreamCounters, StreamFolder

ROWS = pa.table({"item": [3, 1, 2]})


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def made(tmp_path):
    clock, counters = Clock(), StreamCounters()
    return StreamWriter(tmp_path), StreamFolder(str(tmp_path), 1, counters, clock), counters, clock


def test_files_in_their_order(made):
    writer, stream, counters, _ = made
    assert stream.look() is None
    for _ in range(3):
        writer.write(ROWS)
    for number in (1, 2, 3):
        assert stream.look().name == f"00000000000{number}.parquet"
        stream.taken()
    assert stream.look() is None and counters == StreamCounters()


def test_a_gap_is_waited_for(made, capsys):
    writer, stream, counters, clock = made
    first = writer.write(ROWS)
    writer.write(ROWS)
    hidden = first.rename(first.with_name(".hidden"))
    for _ in range(3):
        assert stream.look() is None
        clock.now += GAP_S
    assert counters.gaps == 1 and capsys.readouterr().err.count("000000000001.parquet is missing, and 1 later") == 1
    hidden.rename(first)
    assert stream.look() == first


def test_a_file_that_comes_again(made, capsys):
    writer, stream, counters, clock = made
    path = writer.write(ROWS)
    stream.look()
    stream.taken()
    clock.now += 2
    stream.look()
    assert counters.again == 0
    os.utime(path, (5, 5))
    for _ in range(3):
        clock.now += 2
        stream.look()
    assert counters.again == 1 and "000000000001.parquet has come again" in capsys.readouterr().err
    path.unlink()  # nobody needs it any more
    clock.now += 2
    stream.look()
    assert counters.again == 1


def test_files_from_before_it_began_are_no_news(tmp_path):
    writer, clock, counters = StreamWriter(tmp_path), Clock(), StreamCounters()
    writer.write(ROWS)
    stream = StreamFolder(str(tmp_path), 2, counters, clock)
    stream.look()
    assert counters.again == 0
    writer = StreamWriter(tmp_path / "old", first=0)
    (tmp_path / "old" / writer.write(ROWS).name).rename(tmp_path / "000000000000.parquet")
    clock.now += 2
    stream.look()
    assert counters.again == 1, "an older number that comes late"


def test_a_damaged_file_is_waited_for(made, capsys):
    writer, stream, counters, _ = made
    path = writer.write(ROWS)
    stream.refuse(path, "it is damaged")
    assert stream.look() is None and counters.damaged == 1
    assert capsys.readouterr().err == "it is damaged; training waits for it\n"
    os.utime(path, (5, 5))
    assert stream.look() == path


def test_what_is_no_file_of_it_is_passed_over(made, capsys):
    writer, stream, _, clock = made
    for name in ("1.parquet", "notes.txt", ".hidden", "_temporary", "end.json"):
        (writer.folder / name).write_text("{}")
    for _ in range(2):
        assert stream.look() is None
        clock.now += 2
    said = capsys.readouterr().err
    assert said.count("passed over") == 2 and "'1.parquet'" in said and "'notes.txt'" in said


def test_the_end(made, capsys):
    writer, stream, _, _ = made
    assert not stream.ended
    writer.write(ROWS)
    writer.end()
    assert not stream.ended
    stream.taken()
    assert stream.ended
    (writer.folder / "end.json").write_text("{")
    assert not stream.ended and not stream.ended
    assert capsys.readouterr().err.count("end.json' is not readable JSON") == 1


def test_a_folder_that_is_gone_is_waited_for(made, capsys):
    writer, stream, _, _ = made
    writer.folder.rename(writer.folder.with_name("away"))
    assert stream.look() is None and "cannot be listed (No such file or directory)" in capsys.readouterr().err
    writer.folder.with_name("away").rename(writer.folder)
    writer.write(ROWS)
    assert stream.look() is not None
