"""Which files of a folder are read, and what is said of the others."""

import pytest

from embeddings.errors import InputError
from embeddings.files.parquet_folder import parquet_paths, partitions


def test_what_is_read_and_what_is_passed_over(tmp_path):
    for name in ("b.parquet", "a.parquet", "c.PARQUET", "d.parq", "_SUCCESS", "_metadata", ".a.parquet.crc"):
        (tmp_path / name).touch()
    for name in ("date=2024-01-01", "x.parquet", "_temporary"):
        (tmp_path / name).mkdir()
    (tmp_path / "link.parquet").symlink_to(tmp_path / "a.parquet")
    (tmp_path / "broken.parquet").symlink_to(tmp_path / "nowhere")
    paths, passed_over = parquet_paths(str(tmp_path))
    names = ["a.parquet", "b.parquet", "broken.parquet", "link.parquet"]  # opening a broken link is an error
    assert paths == [str(tmp_path / name) for name in names]
    assert passed_over == [
        "'c.PARQUET' (its name does not end in '.parquet')",
        "'d.parq' (its name does not end in '.parquet')",
        "'date=2024-01-01' (a folder of a Hive partition)",
        "'x.parquet' (a folder)",
    ]


def test_a_folder_that_cannot_be_listed(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be listed"):
        parquet_paths(str(tmp_path / "file"))


def test_files_below_partitions_are_counted(tmp_path):
    for folder in ("a.parquet", "b=1/c=2", "b=2", "d=1", "_e=1", ".f=1"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "x.parquet").touch()
    (tmp_path / "b=1" / "y.parquet").touch()
    (tmp_path / "b=1" / "_SUCCESS").touch()
    (tmp_path / "d=1" / "x.parquet").unlink()
    (tmp_path / "e=1.parquet").touch()
    assert partitions(str(tmp_path)) == (3, ["'b=1/'", "'b=2/'"])
