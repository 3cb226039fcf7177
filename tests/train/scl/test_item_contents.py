"""The content of all items: what is broken or comes twice is named."""

import errno
import os
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embeddings.errors import InputError
from recsys.scl.pairs_schema import load_pairs
from tests.train.launch import one_line
from tests.train.scl.tiny import changed, column, scl
from train.scl.item_contents import ItemContents, _unnamed_file


def test_a_broken_item_is_named(config, own_pairs):
    contents = column(own_pairs, "items", "content")
    changed(own_pairs, "items", content=pa.array([b"x", *contents[1:]], pa.binary()))
    one_line(scl(config), "'items', item -5, column 'content' cannot be decoded")


def test_an_item_that_comes_twice_is_named(config, own_pairs):
    path = own_pairs / "items" / "part-0.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table.slice(1, 1)]), path)
    one_line(scl(config), "2 comes twice")


def test_the_copy_of_the_contents_has_no_name(monkeypatch, tmp_path, own_pairs):
    """A kill leaves nothing behind."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    about = load_pairs(own_pairs).items
    with _unnamed_file() as file:
        file.write(b"x" * 100_000)
        assert list(folder.iterdir()) == []
    contents = ItemContents(str(own_pairs), about)
    assert list(folder.iterdir()) == []
    written = dict(zip(column(own_pairs, "items", about.id), column(own_pairs, "items", "content"), strict=True))
    assert {int(i): contents.content(row) for row, i in enumerate(contents.ids)} == written


def test_where_no_temporary_file_can_be(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc"])
    with pytest.raises(InputError, match=r"temporary file \(.*No usable temporary directory.*TMPDIR"), _unnamed_file():
        pass


def test_a_full_folder_of_temporary_files():
    with pytest.raises(InputError, match=r"temporary file \(.*No space left.*free space there"), _unnamed_file():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(PermissionError), _unnamed_file():
        raise PermissionError(errno.EACCES, "no", "data/items")
