"""Data folders that are whole or absent."""

import errno

import numpy as np
import pyarrow.parquet as pq
import pytest

from embeddings.errors import InputError
from recsys.datasets.io.data_folder import data_folder
from recsys.datasets.io.split_writer import SplitWriter
from tests.embeddings.files.held_folder import held_elsewhere


def test_nothing_stays_of_a_folder_that_failed(tmp_path):
    with pytest.raises(KeyboardInterrupt), data_folder(str(tmp_path / "deep" / "out")) as folder:
        (folder / "x").write_text("half")
        raise KeyboardInterrupt
    assert list((tmp_path / "deep").iterdir()) == []


def test_a_full_disk_is_one_line_that_names_the_path(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"no space left on the disk of '.*out'.*choose another --out"):
        with data_folder(str(out)) as folder, SplitWriter(folder / "train") as writer:
            writer.write({"label": np.zeros(3, np.int8)})
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


def test_a_folder_that_somebody_else_prepares_is_refused_at_once(tmp_path):
    out = tmp_path / "out"
    for overwrite in (False, True):
        with held_elsewhere(out), pytest.raises(InputError, match=r"data folder '.*out' is being written by .*--out"):
            with data_folder(str(out), overwrite=overwrite):
                pytest.fail("two write it")
        with data_folder(str(out), overwrite=overwrite) as folder:
            (folder / "prepare.json").write_text("{}")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
