"""The watched folder: what is taken, where files go, what is left for later."""

import time

import pytest

from serve.encode.content_log import ContentLog, NotStored
from tests.serve.encode.services import PICTURES, TITLES, WAIT_S, exported, service, vector
from tests.train.encoding.shelf import write_items


def files(folder) -> dict[str, list[str]]:
    """Names of the files in the folder, in done/ and in dead/."""
    return {place.name: sorted(p.name for p in place.iterdir() if p.is_file()) for place in
            (folder, folder / "done", folder / "dead")}  # fmt: skip


def until_empty(folder) -> None:
    """Wait until nothing is left but what begins with a dot."""
    end = time.monotonic() + WAIT_S
    while [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_pictures_parquet_and_what_is_neither(tmp_path):
    exported(tmp_path)
    folder = tmp_path / "in"
    write_items(tmp_path / "items", range(100, 170), [*PICTURES, b"broken", *[PICTURES[0]] * 61])
    write_items(tmp_path / "titles", [1], ["a title"], "title")
    with service(tmp_path, folder=str(folder), body_bytes=5000):
        for name, content in (
            ("7.png", PICTURES[0]), ("-8.JPG", PICTURES[1]), ("9.png", b"broken"), ("10.txt", b"a text"),
            ("shoe.png", PICTURES[0]), ("11.png", bytes(5001)), (".12.png", PICTURES[0]), ("x.parquet", b"none"),
        ):  # fmt: skip
            (folder / name).write_bytes(content)
        (tmp_path / "items" / "part-0.parquet").rename(folder / "items.parquet")
        (tmp_path / "titles" / "part-0.parquet").rename(folder / "titles.parquet")
        until_empty(folder)
    dead = ["10.txt", "11.png", "9.png", "shoe.png", "titles.parquet", "x.parquet"]
    assert files(folder) == {
        "in": [".12.png"],
        "done": ["-8.JPG", "7.png", "items.parquet"],
        "dead": sorted([*dead, *(f"{name}.reason.txt" for name in [*dead, "items.parquet"])]),
    }
    why = {name: (folder / "dead" / f"{name}.reason.txt").read_text() for name in [*dead, "items.parquet"]}
    assert "item 9: no picture" in why["9.png"] and "more than 5,000 bytes" in why["11.png"]
    assert "item 108: no picture" in why["items.parquet"] and why["items.parquet"].count("\n") == 1
    assert "wanted one" in why["titles.parquet"] and "allowed: ID.png" in why["shoe.png"]
    for item in (7, -8, 100, 169):
        assert vector(tmp_path, item) is not None


def test_texts_by_a_named_column(tmp_path):
    exported(tmp_path, "text")
    folder = tmp_path / "in"
    with service(tmp_path, folder=str(folder), column="title"):
        write_items(tmp_path / "items", range(len(TITLES)), TITLES, "title")
        (tmp_path / "items" / "part-0.parquet").rename(folder / "items.parquet")
        (folder / "7.txt").write_text("a hat")
        until_empty(folder)
    assert files(folder)["done"] == ["7.txt", "items.parquet"]
    assert vector(tmp_path, 7) is not None and vector(tmp_path, 2) is not None


def test_what_still_grows_is_left_until_it_is_whole(tmp_path):
    exported(tmp_path)
    folder = tmp_path / "in"
    with service(tmp_path, folder=str(folder)):
        with (folder / "7.png").open("wb", buffering=0) as growing:
            for part in range(0, len(PICTURES[0]), 100):
                growing.write(PICTURES[0][part : part + 100])
                time.sleep(0.05)  # less than between two looks
        until_empty(folder)
    assert files(folder)["done"] == ["7.png"]


def test_a_log_that_takes_nothing_leaves_files_until_it_does(tmp_path, monkeypatch, capfd):
    exported(tmp_path)
    folder, append, full = tmp_path / "in", ContentLog.append, [True, True]

    def sometimes(self, changes):
        if full:
            full.pop()
            raise NotStored("no space left")
        return append(self, changes)

    monkeypatch.setattr(ContentLog, "append", sometimes)
    with service(tmp_path, folder=str(folder)):
        (folder / "7.png").write_bytes(PICTURES[0])
        until_empty(folder)
    assert files(folder)["done"] == ["7.png"] and "no space left" in capfd.readouterr().err


def test_files_that_are_under_way_at_the_end_stay(tmp_path, monkeypatch):
    exported(tmp_path)
    folder = tmp_path / "in"
    with service(tmp_path, folder=str(folder)) as at_work:
        monkeypatch.setattr(at_work.encoders.active, "_tried", lambda write: time.sleep(0.8) or write())
        (folder / "7.png").write_bytes(PICTURES[0])
        time.sleep(0.6)
    assert files(folder)["in"] in (["7.png"], []) and files(folder)["dead"] == []


@pytest.mark.parametrize("how", ["file", "read-only"])
def test_a_folder_that_cannot_be_used(tmp_path, how):
    exported(tmp_path)
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" if how == "file" else "/proc/1/in"
    with pytest.raises(ValueError, match="cannot be used"), service(tmp_path, folder=str(place)):
        pass
