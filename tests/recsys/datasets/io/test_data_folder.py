"""The writer: row groups, files, and folders that are whole or absent."""

import errno
import itertools

import numpy as np
import pyarrow.parquet as pq
import pytest

from embeddings.errors import InputError
from recsys.datasets.io import data_folder as rows
from recsys.datasets.io.data_folder import Lists, SplitWriter, data_folder, row_group_rows


def _columns(start, stop):
    label = (np.arange(start, stop) % 3 == 0).astype(np.int8)
    ends = np.arange(start, stop)
    return {
        "label": label,
        "user": np.arange(start, stop),
        "history": Lists.taken(np.arange(100) * 7, np.maximum(0, ends - 3), ends),
    }


@pytest.mark.parametrize("cuts", [[0, 47], [0, 1, 2, 9, 10, 11, 33, 33, 47], list(range(48))])
def test_rows_come_in_full_groups_whatever_the_calls(tmp_path, cuts):
    with SplitWriter(tmp_path / "train", group_rows=5, file_rows=17) as writer:  # 17 is three whole groups
        for start, stop in itertools.pairwise(cuts):
            writer.write(_columns(start, stop))
    files = sorted((tmp_path / "train").iterdir())
    assert [f.name for f in files] == [f"part-{i:05d}.parquet" for i in range(4)]
    sizes = [
        [m.row_group(g).num_rows for g in range(m.num_row_groups)] for m in (pq.ParquetFile(f).metadata for f in files)
    ]
    assert sizes == [[5, 5, 5]] * 3 + [[2]]
    read = [row for f in files for row in pq.read_table(f).to_pylist()]
    assert [r["user"] for r in read] == list(range(47))
    assert [r["history"] for r in read] == [[7 * j for j in range(max(0, i - 3), i)] for i in range(47)]
    assert (writer.count.rows, writer.count.positives) == (47, 16)


def test_types_are_the_standard_ones(tmp_path):
    with SplitWriter(tmp_path / "train") as writer:
        writer.write(_columns(0, 3))
    schema = pq.read_schema(tmp_path / "train" / "part-00000.parquet")
    assert [str(schema.field(n).type) for n in ("label", "user")] == ["int8", "int64"]
    assert str(schema.field("history").type.value_type) == "int64"


def test_long_lists_make_small_row_groups():
    assert row_group_rows(0) == row_group_rows(20) == 32_768
    assert row_group_rows(1000) * 1000 <= 4 << 20
    assert row_group_rows(10**9) == 1


def test_nothing_stays_of_a_folder_that_failed(tmp_path):
    with pytest.raises(KeyboardInterrupt), data_folder(str(tmp_path / "deep" / "out")) as folder:
        (folder / "x").write_text("half")
        raise KeyboardInterrupt
    assert list((tmp_path / "deep").iterdir()) == []


def test_a_full_disk_is_one_line_that_names_the_path(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rows.pq.ParquetWriter, "write_table", full)
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"no space left on the disk of '.*out'.*choose another --out"):
        with data_folder(str(out)) as folder, SplitWriter(folder / "train") as writer:
            writer.write(_columns(0, 3))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_while_the_store_is_written_names_the_path_too(tmp_path):
    with pytest.raises(InputError, match=r"no space left on the disk of '.*out'"):
        with data_folder(str(tmp_path / "out")):
            raise InputError("the store's own words") from OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(InputError, match="its own words"):
        with data_folder(str(tmp_path / "out")):
            raise InputError("its own words") from OSError(errno.ENOENT, "no such file")


def test_an_existing_folder_is_refused_and_kept(tmp_path):
    out = tmp_path / "out"
    with data_folder(str(out)) as folder:
        (folder / "prepare.json").write_text("first")
    with pytest.raises(InputError, match="exists already; pass --overwrite"):
        with data_folder(str(out)):
            pass
    with pytest.raises(ZeroDivisionError), data_folder(str(out), overwrite=True):
        raise ZeroDivisionError
    assert (out / "prepare.json").read_text() == "first"
    with data_folder(str(out), overwrite=True) as folder:
        (folder / "prepare.json").write_text("second")
    assert (out / "prepare.json").read_text() == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_prepare_did_not_write_is_never_replaced(tmp_path, overwrite):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1").write_text("years of work")
    (tmp_path / "file").write_text("")
    for name in ("thesis", "file"):
        with pytest.raises(InputError, match="was not made by prepare, so it is not replaced"):
            with data_folder(str(tmp_path / name), overwrite=overwrite):
                pass
    assert (tmp_path / "thesis" / "chapter1").read_text() == "years of work"


def test_an_empty_folder_may_be_filled(tmp_path):
    (tmp_path / "out").mkdir()
    with data_folder(str(tmp_path / "out")) as folder:
        (folder / "x").write_text("whole")
    assert (tmp_path / "out" / "x").read_text() == "whole"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write below '.*file'"):
        with data_folder(str(tmp_path / "file" / "out")):
            pass
