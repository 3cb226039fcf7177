"""Frozen stores: what is written is what is opened, and damage is named."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from iopath.common.file_io import PathHandler, g_pathmgr

from embeddings.errors import InputError
from embeddings.frozen import store_files
from embeddings.frozen import store_writer as writer
from embeddings.frozen.check_store import verify
from embeddings.frozen.store import FrozenStore, build_store
from tests.embeddings.frozen.stores import IDS, change_store, random_vectors

DTYPES = ("float32", "float16", "int8")


def _dequantised(store: FrozenStore) -> np.ndarray:
    scale = 1 if store.scale is None else store.scale[:, None]
    return store.vectors.astype(np.float64) * scale


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("block_bytes", [1, 100, 1 << 20])  # one row a block, a few, all
def test_round_trip_from_any_order(tmp_path: Path, dtype: str, block_bytes: int, monkeypatch) -> None:
    monkeypatch.setattr(writer, "BLOCK_BYTES", block_bytes)
    vectors = random_vectors()
    store = build_store(str(tmp_path / "s"), IDS, vectors, dtype=dtype, encoder="e")
    assert (store.width, store.count, store.dtype, store.encoder) == (6, 5, dtype, "e")
    assert store.ids.dtype == np.int64 and store.ids.tolist() == sorted(IDS.tolist())
    assert store.vectors.dtype == dtype and store.vectors.shape == (5, 6)
    assert (store.scale is None) == (dtype != "int8")
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    tolerance = {"float32": 1e-6, "float16": 1e-3, "int8": 1e-2}[dtype]
    np.testing.assert_allclose(_dequantised(store)[store.rows(IDS)], unit, atol=tolerance)
    assert store.rows(np.array([0, 43])).tolist() == [-1, -1]
    assert sum(f.stat().st_size for f in (tmp_path / "s").glob("*.npy")) == store.nbytes
    verify(store)


def test_checksum_follows_the_content_alone(tmp_path: Path) -> None:
    def checksum(name: str, order: slice, vectors: np.ndarray) -> str:
        return build_store(str(tmp_path / name), IDS[order], vectors[order], encoder=name).checksum

    same, forward = random_vectors(), slice(None)
    changed = same.copy()
    changed[2, 3] += 0.5
    assert checksum("a", forward, same) == checksum("b", slice(None, None, -1), same)
    assert checksum("c", forward, changed) != checksum("a2", forward, same)


def test_vectors_are_mapped_and_writes_never_reach_the_file(built: str) -> None:
    before = Path(built, "vectors.npy").read_bytes()
    store = FrozenStore.open(built)
    base = store.vectors
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    store.vectors[:] = 0
    assert Path(built, "vectors.npy").read_bytes() == before


def test_files_are_plain_numpy_and_json(built: str) -> None:
    assert np.load(Path(built, "ids.npy")).tolist() == sorted(IDS.tolist())
    assert np.load(Path(built, "vectors.npy")).dtype == np.int8
    assert np.load(Path(built, "scale.npy")).dtype == np.float32
    meta = json.loads(Path(built, "meta.json").read_text())
    assert (meta["width"], meta["dtype"], meta["count"]) == (6, "int8", 5)
    assert sorted(os.listdir(built)) == ["ids.npy", "meta.json", "scale.npy", "vectors.npy"]


@pytest.mark.parametrize("name", ["ids.npy", "vectors.npy", "scale.npy"])
def test_verify_names_a_changed_file(built: str, name: str) -> None:
    raw = bytearray(Path(built, name).read_bytes())
    raw[-1] ^= 1
    Path(built, name).write_bytes(raw)
    with pytest.raises(InputError, match=f"{name}' has SHA-256 .* but meta.json says .* build the store again"):
        verify(FrozenStore.open(built))


@pytest.mark.parametrize("name", ["ids.npy", "vectors.npy", "scale.npy"])
@pytest.mark.parametrize("keep", [0, 20, -1])
def test_truncated_files_are_named(built: str, name: str, keep: int) -> None:
    raw = Path(built, name).read_bytes()
    Path(built, name).write_bytes(raw[:keep])
    with pytest.raises(InputError, match=f"{name}' has .* bytes, but meta.json says {len(raw)}: it is truncated"):
        FrozenStore.open(built)


@pytest.mark.parametrize("name", ["ids.npy", "vectors.npy", "scale.npy"])
def test_missing_and_garbled_files_are_named(built: str, name: str) -> None:
    file = Path(built, name)
    size = file.stat().st_size
    file.write_bytes(b"x" * size)
    with pytest.raises(InputError, match=f"{name}' is not a readable .npy file"):
        FrozenStore.open(built)
    file.unlink()
    with pytest.raises(InputError, match=f"{name}' is missing"):
        FrozenStore.open(built)


def test_no_store_says_where_and_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no frozen store at .*nowhere' \(no such folder\); make one with"):
        FrozenStore.open(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"exists but has no meta\.json"):
        FrozenStore.open(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 7}, r"vectors.npy' is int8 \[5, 6\], but meta.json says int8 \[5, 7\]"),
        ({"count": 4}, r"ids.npy' is int64 \[5\], but meta.json says int64 \[4\]"),
        ({"dtype": "float16"}, r"files must be .'ids.npy', 'vectors.npy'. for dtype float16; build"),
        ({"dtype": "float64"}, "dtype: Input should be 'float32', 'float16' or 'int8', got 'float64'"),
        ({"format": 2}, "format 2, but this version reads 1"),
        ({"width": "6"}, "width: Input should be a valid integer, got '6'"),
        ({"width": True}, "width: Input should be a valid integer, got True"),
        ({"widht": 6}, "unknown key 'widht'; did you mean 'width'"),
        ({"count": 10**400}, "meta.json.*; build the store again"),
        ({"format": [[]]}, "format .*, but this version reads 1"),
        ({"count": 0}, "count: Input should be greater than or equal to 1, got 0"),
        ({"files": {}}, "files must be"),
        ({"files": {"../ids.npy": {"bytes": 1, "sha256": "0" * 64}}}, "files must be"),
        ({"files": {"ids.npy": 1, "vectors.npy": 1, "scale.npy": 1}}, "files.ids.npy: keys are expected"),
        ({"checksum": "0"}, "checksum does not belong to the files' digests"),
    ],
)
def test_meta_at_odds_with_the_files(built: str, change: dict, message: str) -> None:
    file = Path(built, "meta.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(InputError, match=message) as refused:
        FrozenStore.open(built)
    assert len(str(refused.value)) < 1000 and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", "nonsense", "\x00", "[" * 100_000, '{"width": 1' + "0" * 9999 + "}"]
)
def test_unreadable_meta(built: str, text: str) -> None:
    Path(built, "meta.json").write_text(text)
    with pytest.raises(InputError, match=r"meta\.json'(: top level| is not readable JSON).*; build the store again"):
        FrozenStore.open(built)


def test_stores_of_old_read(built: str) -> None:
    """Before meta.json said for which checksum rows were checked."""
    file = Path(built, "meta.json")
    meta = json.loads(file.read_text())
    assert meta.pop("rows_checked") == meta["checksum"]
    file.write_text(json.dumps(meta))
    verify(FrozenStore.open(built))


def test_what_is_no_file_is_not_waited_for(built: str) -> None:
    for name in ("vectors.npy", "meta.json"):
        Path(built, name).unlink()
        os.mkfifo(Path(built, name))
        with pytest.raises(InputError, match=f"{name}' (is no file|has 0 bytes)"):
            FrozenStore.open(built)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([3, 1, 2, 4, 5], "id 1 follows id 3"),
        ([1, 2, 3, 3, 5], "id 3 follows id 3"),
        ([1, 2, 3, 4, -5], "id -5 follows id 4"),
        ([7, 7, 7, 7, 7], "id 7 follows id 7"),
    ],
)
@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_ids_out_of_order_and_twice(built: str, ids: list, message: str, at_once: int, monkeypatch) -> None:
    monkeypatch.setattr(store_files, "_IDS_AT_ONCE", at_once)
    FrozenStore.open(built)
    change_store(built, "ids.npy", lambda array: np.array(ids))
    with pytest.raises(InputError, match=rf"ids\.npy' is not sorted and unique: {message}; build the store again"):
        FrozenStore.open(built)


def test_an_open_store_stays_as_it_was_while_another_takes_its_name(built: str) -> None:
    store = FrozenStore.open(built)
    before = store.vectors.copy()
    build_store(built, IDS, -random_vectors(), overwrite=True, dtype="float32")
    np.testing.assert_array_equal(store.vectors, before)


def test_paths_go_through_iopath(tmp_path: Path) -> None:
    class Elsewhere(PathHandler):
        """elsewhere://x is tmp_path/x."""

        def _get_supported_prefixes(self) -> list[str]:
            return ["elsewhere://"]

        def _local(self, path: str) -> str:
            return str(tmp_path / path.removeprefix("elsewhere://"))

        def _get_local_path(self, path: str, force: bool = False, **_) -> str:
            return self._local(path)

        def _copy_from_local(self, local_path: str, dst_path: str, overwrite: bool = False, **_) -> None:
            Path(self._local(dst_path)).write_bytes(Path(local_path).read_bytes())

        def _open(self, path: str, mode: str = "r", buffering: int = -1, **_):
            return open(self._local(path), mode)

        def _exists(self, path: str, **_) -> bool:
            return os.path.exists(self._local(path))

        def _isdir(self, path: str, **_) -> bool:
            return os.path.isdir(self._local(path))

        def _ls(self, path: str, **_) -> list[str]:
            return os.listdir(self._local(path))

        def _mkdirs(self, path: str, **_) -> None:
            os.makedirs(self._local(path), exist_ok=True)

    g_pathmgr.register_handler(Elsewhere(), allow_override=True)
    store = build_store("elsewhere://far/store", IDS, random_vectors(), dtype="int8")
    assert sorted(os.listdir(tmp_path / "far" / "store")) == ["ids.npy", "meta.json", "scale.npy", "vectors.npy"]
    verify(store)
    assert FrozenStore.open("elsewhere://far/store").rows(IDS).tolist() == [3, 0, 2, 4, 1]
    with pytest.raises(InputError, match="exists; pass --overwrite"):
        build_store("elsewhere://far/store", IDS, random_vectors())


def test_changed_bytes_are_read_or_refused(built: str) -> None:
    """400 stores, some bytes of meta.json or of a header changed: what opens is used without another error."""
    random, read = np.random.default_rng(0), 0
    whole = {name: Path(built, name).read_bytes() for name in os.listdir(built)}
    for _ in range(400):
        name = random.choice(["meta.json", "meta.json", *whole])
        raw = bytearray(whole[name])
        for place in random.integers(0, min(len(raw), 2000), random.integers(1, 4)):
            raw[place] = random.choice([random.integers(256), *b'0123456789-.,:[]{}"etn'])
        Path(built, name).write_bytes(raw)
        try:
            store = FrozenStore.open(built)
            assert store.rows(IDS).shape == IDS.shape
            verify(store)
            read += 1
        except InputError as error:
            assert "\n" not in str(error) and len(str(error)) < 2000
        Path(built, name).write_bytes(whole[name])
    assert 0 < read < 200
