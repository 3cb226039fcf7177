"""Facts of items from parquet: joined by id, bounded, in words that JSON has; what is wrong with a file."""

import datetime
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embeddings.errors import InputError
from serve.page import items as module
from serve.page.items import Items, picture_type

PNG, JPEG, WEBP = b"\x89PNG\r\n\x1a\n....", b"\xff\xd8\xff....", b"RIFF....WEBPVP8 "


def write(path: Path, **columns: object) -> str:
    path.parent.mkdir(exist_ok=True, parents=True)
    pq.write_table(pa.table(columns), path)
    return str(path)


def test_columns_of_several_files_are_joined_by_the_id(tmp_path):
    write(tmp_path / "a" / "1.parquet", item=[5, 3], title=["Five", "Three"], picture=[PNG, None])
    write(tmp_path / "a" / "2.parquet", item=[-4], title=["Minus four"], picture=[JPEG])
    clicks = write(tmp_path / "clicks.parquet", clicks=[7, 1], item=pa.array([3, 9], pa.int32()))
    items = Items([str(tmp_path / "a"), clicks], "item")
    assert items.facts(3) == {"title": "Three", "clicks": 7}
    assert items.facts(5) == {"title": "Five"} and items.facts(9) == {"clicks": 1} and items.facts(4) == {}
    assert (items.picture(5), items.picture(-4), items.picture(3), items.picture(9)) == (PNG, JPEG, b"", b"")
    assert len(items) == 3


def test_titles_are_found_in_any_case_those_that_begin_so_first(tmp_path):
    path = write(tmp_path / "x.parquet", item=[1, 2, 3, 4], title=["A red bag", "RED hat", "blue", None])
    items = Items([path], "item")
    assert items.titled("red", 20) == [2, 1] and items.titled("red", 1) == [2]
    assert items.titled("r.d", 20) == []  # no pattern
    assert Items([], "item").titled("red", 20) == []


def test_items_are_ordered_by_columns_of_numbers_and_times(tmp_path):
    day = datetime.date
    first = write(tmp_path / "x.parquet", item=[1, 2, 3], title=["a", "b", "c"], clicks=[5, None, 7])
    second = write(tmp_path / "y.parquet", item=[4, 5], day=[day(2024, 1, 2), day(2025, 1, 1)], clicks=[8, 9])
    items = Items([first, second], "item")
    assert items.sortable == ["clicks", "day"]
    assert items.largest("clicks", 20) == [3, 1] and items.largest("clicks", 1) == [3]
    assert items.largest("day", 20) == [5, 4]
    assert Items([], "item").sortable == []


def test_values_become_what_json_and_javascript_have(tmp_path):
    path = write(
        tmp_path / "x.parquet", item=[1], big=[2**60], small=[2], text=["x" * 1000], tags=[list(range(50))],
        raw=[b"123"], day=[datetime.date(2024, 1, 2)], nested=[{"a": 1}],
    )  # fmt: skip
    facts = Items([path], "item").facts(1)
    assert facts["big"] == str(2**60) and facts["small"] == 2 and len(facts["text"]) == 500
    assert facts["tags"] == list(range(20)) and facts["raw"] == "3 bytes" and facts["day"] == "2024-01-02"
    assert "nested" not in facts


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"id": [1]}, "has no column 'item'"),
        ({"item": ["a"]}, "is no integer column"),
        ({"item": [1, None]}, "1 nulls"),
        ({"item": [1, 2, 1]}, "item 1 is there twice"),
        ({"item": [1], "title": [5]}, "column 'title' is int64; wanted text"),
        ({"item": [1], "picture": ["a.png"]}, "column 'picture' is string; wanted bytes"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, columns, said):
    with pytest.raises(InputError, match=said):
        Items([write(tmp_path / "x.parquet", **columns)], "item")


def test_files_of_a_folder_have_the_same_columns(tmp_path):
    write(tmp_path / "a" / "1.parquet", item=[5])
    write(tmp_path / "a" / "2.parquet", item=[6], title=["six"])
    with pytest.raises(InputError, match="has other columns"):
        Items([str(tmp_path / "a")], "item")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no"):
        Items([str(tmp_path / "empty")], "item")
    with pytest.raises(InputError, match="cannot be opened"):
        Items([str(tmp_path / "no.parquet")], "item")


def test_what_takes_too_much_memory_is_refused(tmp_path, monkeypatch):
    paths = [write(tmp_path / f"{i}.parquet", item=[1], text=["x" * 600]) for i in range(2)]
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    assert Items(paths[:1], "item").facts(1)
    with pytest.raises(InputError, match=r"--items: .* bytes in memory"):
        Items(paths, "item")
    monkeypatch.setattr(module, "MOST_BYTES", 500)
    with pytest.raises(InputError, match="takes more than 500 bytes"):
        Items(paths[:1], "item")


def test_pictures_are_told_by_their_first_bytes():
    assert [picture_type(data) for data in (PNG, JPEG, WEBP)] == ["image/png", "image/jpeg", "image/webp"]
    assert {picture_type(data) for data in (b"", b"<svg>", b"<html>", b"GIF89a", b"RIFF....WAVE")} == {None}


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_the_type_of_a_picture_is_told_without_a_copy_of_it(tmp_path, kind):
    """Two hundred of 20 MiB that were copied would hold the event loop for seconds."""
    pictures = pa.array([b"x" * (1 << 20), PNG + b"x" * (1 << 20), None, b""], kind)
    items = Items([write(tmp_path / "x.parquet", item=[1, 2, 3, 4], picture=pictures)], "item")
    tracemalloc.start()
    kinds = [items.picture_type(item) for item in (1, 2, 3, 4, 5)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kinds == [None, "image/png", None, None, None] and peak < 100_000
    assert len(items.picture(2)) == len(PNG) + (1 << 20)
