"""The store command."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embeddings.frozen.store import FrozenStore
from tests.embeddings.frozen.stores import change_store
from train.__main__ import run

IDS = np.array([30, 10, 20])
VECTORS = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, -2.0]], dtype=np.float32)


@pytest.fixture
def store(monkeypatch, capsys):
    """Runs ``python -m train store ...``; returns the exit status, stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["train", "store", *arguments])
        status = run()
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def npy(tmp_path: Path) -> list[str]:
    np.save(tmp_path / "i.npy", IDS)
    np.save(tmp_path / "v.npy", VECTORS)
    return ["--ids", str(tmp_path / "i.npy"), "--vectors", str(tmp_path / "v.npy")]


def test_build_show_and_verify(tmp_path: Path, store, npy: list[str]) -> None:
    out = str(tmp_path / "s")
    status, printed, _ = store("build", *npy, "--dtype", "float32", "--encoder", "mine", "--out", out)
    assert status == 0
    opened = FrozenStore.open(out)
    assert opened.vectors[opened.rows(np.array([30]))[0]].tolist() == pytest.approx([0.6, 0.8])
    lines = dict(line.split(maxsplit=1) for line in printed.splitlines())
    assert lines == {
        "path": out,
        "width": "2",
        "dtype": "float32",
        "count": "3",
        "bytes": str(opened.nbytes),
        "encoder": "mine",
        "checksum": opened.checksum,
    }
    assert store("show", out) == (0, printed, "")
    status, said, _ = store("verify", out)
    assert status == 0 and said == (
        f"{out}: 3 vectors, checksums agree ({opened.checksum}), ids ascend, every row has norm 1\n"
    )


def test_build_from_parquet(tmp_path: Path, store) -> None:
    pq.write_table(pa.table({"item": IDS, "v": VECTORS.tolist()}), tmp_path / "a.parquet")
    columns = ["--id-column", "item", "--vector-column", "v"]
    status, printed, _ = store("build", "--parquet", str(tmp_path), *columns, "--out", str(tmp_path / "s"))
    assert status == 0 and "float16" in printed and "(not named)" in printed
    assert FrozenStore.open(str(tmp_path / "s")).ids.tolist() == [10, 20, 30]


def test_overwrite(tmp_path: Path, store, npy: list[str]) -> None:
    arguments = ["build", *npy, "--out", str(tmp_path / "s")]
    assert store(*arguments)[0] == 0
    status, _, said = store(*arguments)
    assert status == 2 and said.startswith("error: frozen store") and "pass --overwrite" in said
    assert store(*arguments, "--overwrite")[0] == 0


def test_a_changed_store_does_not_verify(tmp_path: Path, store, npy: list[str]) -> None:
    assert store("build", *npy, "--out", str(tmp_path / "s"))[0] == 0
    file = tmp_path / "s" / "vectors.npy"
    raw = bytearray(file.read_bytes())
    raw[-3] ^= 16
    file.write_bytes(raw)
    status, _, said = store("verify", str(tmp_path / "s"))
    assert status == 2 and "vectors.npy' has SHA-256" in said and len(said.splitlines()) == 1


@pytest.mark.parametrize(("value", "what"), [(np.nan, "is not finite"), (0, "is zero"), (2, "has norm 2")])
def test_rows_that_are_no_unit_vectors_do_not_verify(tmp_path: Path, store, npy: list[str], value, what) -> None:
    assert store("build", *npy, "--dtype", "float32", "--out", str(tmp_path / "s"))[0] == 0
    change_store(str(tmp_path / "s"), "vectors.npy", lambda a: np.stack([a[0], a[1] * np.float32(value), a[2]]))
    status, _, said = store("verify", str(tmp_path / "s"))
    assert status == 2 and f"the vector of id 20 {what}; 1 of 3 rows are wrong" in said and len(said.splitlines()) == 1


def test_a_store_that_verifies_is_marked_once(tmp_path: Path, store, npy: list[str]) -> None:
    out = str(tmp_path / "s")
    assert store("build", *npy, "--dtype", "float32", "--out", out)[0] == 0
    change_store(out, "vectors.npy", lambda a: a[::-1].copy())
    first, second = store("verify", out), store("verify", out)
    assert first[0] == second[0] == 0
    assert first[1] == second[1] + f"{out}: marked as checked\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--ids", "i"],
        ["--vectors", "v"],
        ["--ids", "i", "--vectors", "v", "--parquet", "p"],
        ["--ids", "i", "--parquet", "p"],
    ],
)
def test_sources_that_do_not_fit_together(tmp_path: Path, store, arguments: list[str]) -> None:
    status, _, said = store("build", "--out", str(tmp_path / "s"), *arguments)
    assert status == 2 and "give either --parquet, or both --ids and --vectors" in said


def test_help_does_not_import_torch_numpy_or_pyarrow() -> None:
    code = """
import sys
from train.__main__ import main
main.main(["store", "build", "--help"], standalone_mode=False)
print(sorted({"torch", "numpy", "pyarrow"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
