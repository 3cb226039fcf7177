"""Checks of a frozen store: damaged rows, the mark of a check, and files that change under a run."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.frozen import check_store
from embeddings.frozen.check_store import check_before_use, is_marked, mark, refuse_changed, verify
from embeddings.frozen.store import FrozenStore, build_store
from tests.embeddings.frozen.stores import change_store

DTYPES = ("float32", "float16", "int8")
COUNT = 40


@pytest.fixture(params=DTYPES)
def store(request, tmp_path: Path) -> FrozenStore:
    vectors = np.random.default_rng(2).normal(size=(COUNT, 6))
    return build_store(str(tmp_path / "s"), np.arange(COUNT) * 10, vectors, dtype=request.param)


@pytest.fixture
def large(monkeypatch) -> None:
    """Stores count as too large to be read whole."""
    monkeypatch.setattr(check_store, "SMALL_BYTES", 0)


def change_row(path: str, row: int, value: float, marked: bool = False) -> None:
    """Row ``row`` of the vectors is ``value`` throughout, and checksums agree with it."""

    def change(array: np.ndarray) -> np.ndarray:
        array[row] = value
        return array

    change_store(path, "vectors.npy", change, marked)


def silent(text: str) -> None:
    pytest.fail(f"said: {text}")


def test_what_was_built_passes_whatever_the_blocks(store: FrozenStore, monkeypatch) -> None:
    for block in (1, 100, 1 << 20):
        monkeypatch.setattr(check_store, "BLOCK_BYTES", block)
        told: list[int] = []
        verify(store, told.append)
        assert sum(told) == sum(s.array.nbytes for s in store.stored.values())
    assert is_marked(store)
    check_before_use(store, silent, 60)


@pytest.mark.parametrize(
    ("value", "what"), [(np.nan, "is not finite"), (np.inf, "is not finite"), (0, "is zero"), (2, "norm")]
)
@pytest.mark.parametrize("row", [0, 17, COUNT - 1])
def test_a_row_of_another_norm_is_refused(store: FrozenStore, value: float, what: str, row: int, monkeypatch) -> None:
    if store.dtype == "int8" and not np.isfinite(value):
        value, what = 0, "is zero"  # int8 has no such numbers
    monkeypatch.setattr(check_store, "BLOCK_BYTES", 50)
    change_row(store.path, row, value)
    opened = FrozenStore.open(store.path)
    for check in (verify, lambda s: check_before_use(s, silent, 60)):
        with pytest.raises(
            InputError, match=rf"the vector of id {row * 10} .*{what}.*; 1 of 40 rows are wrong; allowed"
        ):
            check(opened)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1, 0, 1e30])
def test_a_scale_that_is_wrong_is_refused(tmp_path: Path, value: float) -> None:
    path = build_store(str(tmp_path / "s"), np.arange(3), np.eye(3) + 0.1, dtype="int8").path

    def change(array: np.ndarray) -> np.ndarray:
        array[1:] = value
        return array

    change_store(path, "scale.npy", change)
    with pytest.raises(InputError, match=r"the vector of id 1 .*; 2 of 3 rows are wrong"):
        verify(FrozenStore.open(path))


def test_a_changed_file_is_blamed_before_its_rows(store: FrozenStore) -> None:
    file = Path(store.path, "vectors.npy")
    raw = bytearray(file.read_bytes())
    raw[-12:] = bytes(12)
    file.write_bytes(raw)
    with pytest.raises(InputError, match=r"vectors\.npy' has SHA-256"):
        verify(store)


def test_a_large_store_is_read_whole_where_it_has_no_mark(store: FrozenStore, large) -> None:
    check_before_use(store, silent, 60)
    change_store(store.path, "vectors.npy", lambda array: array[::-1].copy())  # its digest is no longer the marked one
    change_store(store.path, "scale.npy", lambda a: a[::-1].copy()) if store.dtype == "int8" else None
    opened, said = FrozenStore.open(store.path), []
    assert not is_marked(opened)
    check_before_use(opened, said.append, 60)
    assert len(said) == 1 and "does not say that its rows were checked; reading all" in said[0]
    assert mark(opened) and is_marked(FrozenStore.open(store.path))
    check_before_use(FrozenStore.open(store.path), silent, 60)


def test_of_a_large_store_with_a_mark_rows_are_looked_at(store: FrozenStore, large, monkeypatch) -> None:
    monkeypatch.setattr(check_store, "SAMPLE", 4)  # rows 0, 13, 26, 39
    change_row(store.path, 12, 0, marked=True)
    check_before_use(FrozenStore.open(store.path), silent, 60)
    with (
        monkeypatch.context() as patch,
        pytest.raises(InputError, match="the vector of id 120 is zero; 1 of 40 rows are"),
    ):
        patch.setattr(check_store, "SMALL_BYTES", 1 << 20)
        check_before_use(FrozenStore.open(store.path), silent, 60)
    change_row(store.path, 13, 0, marked=True)
    with pytest.raises(InputError, match=r"the vector of id 130 is zero; 1 of 4 rows looked at \(of 40\) are wrong"):
        check_before_use(FrozenStore.open(store.path), silent, 60)


def test_a_folder_that_cannot_be_written_to_gets_no_mark(store: FrozenStore, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(check_store, "write_json", refuse)
    assert not mark(store)


def test_another_store_that_took_its_name_gets_no_mark(store: FrozenStore) -> None:
    build_store(store.path, np.arange(3), np.eye(3), overwrite=True)
    about = Path(store.path, "meta.json").read_bytes()
    assert not mark(store)
    assert Path(store.path, "meta.json").read_bytes() == about


def test_files_cut_short_while_they_are_read(store: FrozenStore) -> None:
    """Its map would raise SIGBUS; plain reads say it."""
    os.truncate(Path(store.path, "vectors.npy"), 130)
    with pytest.raises(InputError, match=r"vectors\.npy' was cut short while it was read; copy it again"):
        verify(store)


def _in_place(path: Path, change: Callable[[bytearray], None]) -> None:
    raw = bytearray(path.read_bytes())
    change(raw)
    with open(path, "r+b") as file:
        file.write(raw)
        file.truncate(len(raw))
    os.utime(path, ns=(0, 0))  # however coarse the file system's clock


@pytest.mark.parametrize("name", ["ids.npy", "vectors.npy"])
def test_a_file_overwritten_in_place(store: FrozenStore, name: str) -> None:
    refuse_changed([store])
    _in_place(Path(store.path, name), lambda raw: raw.__setitem__(-2, raw[-2] ^ 1))
    with pytest.raises(InputError, match=rf"{name}' was overwritten in place at 1970-.* while this run was reading it"):
        refuse_changed([store])


def test_a_file_cut_short(store: FrozenStore) -> None:
    _in_place(Path(store.path, "vectors.npy"), lambda raw: raw.__delitem__(slice(140, None)))
    with pytest.raises(InputError, match="overwritten in place"):
        refuse_changed([store])


def test_times_and_new_files_of_its_name_are_no_change(store: FrozenStore, monkeypatch) -> None:
    os.utime(Path(store.path, "vectors.npy"), ns=(0, 0))
    refuse_changed([store])
    monkeypatch.setattr(check_store, "_digest", silent)  # the same file is not read again
    refuse_changed([store])
    build_store(store.path, np.arange(3), np.eye(3), overwrite=True)
    refuse_changed([store])
    os.unlink(Path(store.path, "vectors.npy"))
    refuse_changed([store])


def test_a_mark_changes_nothing_else(store: FrozenStore) -> None:
    file = Path(store.path, "meta.json")
    before = json.loads(file.read_text())
    file.write_text(json.dumps({**before, "rows_checked": None}))
    opened = FrozenStore.open(store.path)
    assert not is_marked(opened) and mark(opened)
    assert json.loads(file.read_text()) == before


def test_a_large_store_without_a_mark_is_read_while_others_wait(store: FrozenStore, large, monkeypatch) -> None:
    monkeypatch.setattr(check_store, "SAMPLE", 4)  # rows 0, 13, 26, 39
    change_row(store.path, 13, 0, marked=False)
    opened, said = FrozenStore.open(store.path), []
    with pytest.raises(InputError, match=r"the vector of id 130 is zero; 1 of 4 rows looked at \(of 40\) are wrong"):
        check_before_use(opened, said.append, 0)
    assert "that takes more than 0 s; only 4 rows of" in said[1]
