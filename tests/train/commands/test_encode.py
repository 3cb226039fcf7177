"""The encode command: what it says of a data folder, and of wrong input."""

import pytest

from tests.train.encoding.shelf import encode, pixels, png, write_items
from tests.train.launch import cli, one_line


def test_coverage_is_the_hand_count(data, tmp_path):
    from tests.train import tiny

    known = [n for n in range(tiny.ITEMS) if n % 4]
    source = write_items(tmp_path / "items", known, [f"word{n}" for n in known], "title")
    done = cli("encode", *encode(source, tmp_path / "s", "--data", data, encoder="raw-words", column="title"))
    targets = [x for n, c in enumerate((384, 200, 200)) for x in tiny.rows(c, n)["item"].to_pylist()]
    items = set(targets)
    expected = (
        f"coverage    {data}: {sum(n % 4 != 0 for n in items) / len(items):.2%} of {len(items)} items, and "
        f"{sum(n % 4 != 0 for n in targets) / len(targets):.2%} of 784 impressions, have a vector"
    )
    assert expected in done.out.splitlines(), done


def test_wrong_input_is_one_line(shelf, tmp_path):
    out = tmp_path / "store"
    one_line(cli("encode", *encode(shelf, out, encoder="raw-pixel")), "did you mean 'raw-pixels'?")
    one_line(cli("encode", *encode(shelf, out, encoder="raw-words")), "the encoder reads texts")
    one_line(cli("encode", *encode(shelf, out, "--data", tmp_path)), "no schema.yaml")
    broken = write_items(tmp_path / "broken", [1, 2], [b"x", b"y"])
    one_line(cli("encode", *encode(broken, out)), "none of the 2 items has a vector (item 1: ")
    assert not out.exists()


@pytest.fixture
def shelf(tmp_path):
    """A folder of three pictures."""
    return write_items(tmp_path / "shelf", range(3), [png(p) for p in pixels(3)])


def test_no_batch_and_no_thread(shelf, tmp_path):
    for option in ("--batch-size", "--workers"):
        done = cli("encode", *encode(shelf, tmp_path / "store", option, "0"))
        assert done.status == 2 and "is not in the range 1<=x<=" in done.err
