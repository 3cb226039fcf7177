"""The .npy reader: arrays of numbers are mapped as they are, and everything else is one clear line."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.files.npy_file import MAGIC, map_npy

FIX = "get it again"


def npy(header: str | bytes, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """A file of that header; its length is right."""
    raw = header.encode() if isinstance(header, str) else header
    return MAGIC + bytes(version) + struct.pack("<H" if version[0] == 1 else "<I", len(raw)) + raw + data


def header(descr: str = "'<f4'", order: str = "False", shape: str = "(2, 3)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4", "i1", "<i8", ">i8", "<u2", "<u8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("mode", ["r", "c"])
def test_numbers_are_mapped(tmp_path: Path, dtype: str, order: str, mode: str) -> None:
    array = np.asarray(np.arange(12).reshape(4, 3), dtype, order=order)
    np.save(tmp_path / "a.npy", array)
    mapped = map_npy(tmp_path / "a.npy", FIX, mode)
    assert isinstance(mapped, np.memmap) and mapped.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(mapped, array)
    assert mapped.flags.f_contiguous == (order == "F")


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_versions(tmp_path: Path, version: tuple[int, int]) -> None:
    with open(tmp_path / "a.npy", "wb") as out:
        np.lib.format.write_array(out, np.eye(3), version)
    np.testing.assert_array_equal(map_npy(tmp_path / "a.npy", FIX), np.eye(3))


def test_files_of_python_2_read_without_a_warning(tmp_path: Path, recwarn) -> None:
    (tmp_path / "a.npy").write_bytes(npy(header(shape="(2L, 3L)"), bytes(24)))
    assert map_npy(tmp_path / "a.npy", FIX).shape == (2, 3)
    assert not recwarn.list


SIX = bytes(24)  # 2 x 3 float32

WRONG = {
    "empty": (b"", r"begins with b''"),
    "no magic": (b"not numpy at all", r"begins with b'not nu', not with b'\\x93NUMPY'"),
    "pickle": (b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x05.", "begins with"),
    "magic alone": (MAGIC, r"version is ; allowed for numbers: 1\.0, 2\.0"),
    "version 3": (npy(header(), SIX, (3, 0)), r"version is 3\.0; allowed for numbers: 1\.0, 2\.0"),
    "version 9": (npy(header(), SIX, (9, 9)), r"version is 9\.9"),
    "cut in the header": (npy(header(), SIX)[:40], "ends within its header, after 40 bytes"),
    "10 MB header": (
        npy(header() + " " * 10_000_000, SIX, (2, 0)),
        "header has 10,000,.* bytes; allowed: at most 10,000",
    ),
    "4 GB header": (MAGIC + b"\x02\x00\xff\xff\xff\xff" + SIX, "header has 4,294,967,295 bytes"),
    "negative": (npy(header(shape="(-2, -3)"), SIX), r"shape is \(-2, -3\); allowed"),
    "boolean": (npy(header(shape="(True, 6)"), SIX), r"shape is \(True, 6\); allowed"),
    "a list": (npy(header(shape="[2, 3]"), SIX), r"its header is .*\[2, 3\]"),
    "nested": (npy(header(shape="((2, 3), 1)"), SIX), "its header is"),
    "a float": (npy(header(shape="(2.0, 3)"), SIX), "its header is"),
    "no dimension": (npy(header(shape="()"), bytes(4)), r"shape is \(\); allowed"),
    "33 dimensions": (npy(header(shape=str((1,) * 33)), bytes(4)), "allowed: up to 32 numbers"),
    "nothing": (npy(header(shape="(0, 3)")), r"shape is \(0, 3\): it holds no values"),
    "nothing, but huge": (npy(header(shape=f"(0, {10**300})")), "it holds no values"),
    "terabytes": (npy(header(shape="(10000000000000, 3)"), SIX), "take 120000000000000 bytes, but it holds 24"),
    "beyond 64 bits": (npy(header(shape=f"({2**63}, {2**70})"), SIX), "but it holds 24"),
    "wraps around to 24": (npy(header(shape=f"({2**62 + 2}, 3)"), SIX), "but it holds 24"),
    "thousands of digits": (npy(header(shape=f"({'9' * 9000}, 3)"), SIX), "its header is"),
    "short by one": (npy(header(), SIX[:-1]), r"float32 of shape \(2, 3\) take 24 bytes, but it holds 23"),
    "a byte behind": (npy(header(), SIX + b"x"), "take 24 bytes, but it holds 25"),
    "objects": (npy(header(descr="'|O'"), SIX), "holds 'object'; allowed: integers and floats"),
    "texts": (npy(header(descr="'<U1'"), SIX), "holds '<U1'; allowed"),
    "booleans": (npy(header(descr="'|b1'"), SIX[:6]), "holds 'bool'; allowed"),
    "times": (npy(header(descr="'<M8[s]'"), SIX), "allowed: integers and floats"),
    "complex": (npy(header(descr="'<c8'"), SIX), "allowed: integers and floats"),
    "fields": (npy(header(descr="[('a', '<f4'), ('b', '<f4')]"), SIX), "allowed: integers and floats"),
    "subarrays": (npy(header(descr="('<f4', (1000000000,))"), SIX), "its header is|allowed: integers and floats"),
    "no dtype": (npy(header(descr="'nonsense'"), SIX), "its header is"),
    "no dictionary": (npy("[1, 2]\n", SIX), "its header is"),
    "a key too many": (npy(header().replace("}", "'x': 1}"), SIX), "its header is"),
    "order is no switch": (npy(header(order="7"), SIX), "its header is"),
    "brackets": (npy("[" * 9_000, SIX), "its header is"),
    "round brackets": (npy("(" * 9_000 + ")" * 900, SIX), "its header is"),
    "signs": (npy("-" * 9_990 + "1", SIX), "its header is"),
    "a product": (npy("1" + "*9" * 4_000, SIX), "its header is"),
    "a call": (
        npy("{'descr': __import__('os').mkdir('x'), 'fortran_order': False, 'shape': (1,)}\n", SIX),
        "its header",
    ),
    "a call of a number": (npy("(1)(2)\n", SIX), "its header is"),
    "zeros": (npy(bytes(100), SIX), "its header is"),
    "not latin": (npy(b"\xff\xfe" * 50, SIX), "its header is"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_array_of_numbers_is_one_line(tmp_path: Path, case: str, recwarn, capfd) -> None:
    raw, message = WRONG[case]
    (tmp_path / "a.npy").write_bytes(raw)
    with pytest.raises(InputError, match=message) as refused:
        map_npy(tmp_path / "a.npy", FIX)
    said = str(refused.value)
    assert "a.npy' is not a readable .npy file (" in said and said.endswith(f"; {FIX}")
    assert len(said) < 1000 and "\n" not in said
    assert not recwarn.list and capfd.readouterr() == ("", "")


def test_archives_and_what_is_no_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", np.eye(2))
    with pytest.raises(InputError, match=r"is an archive of several arrays; save the one array with numpy\.save"):
        map_npy(tmp_path / "a.npz", FIX)
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(InputError, match=r"is no file; allowed: a \.npy file; get it again"):
            map_npy(tmp_path / name, FIX)
    with pytest.raises(FileNotFoundError):
        map_npy(tmp_path / "none", FIX)


def test_changed_bytes_are_read_or_refused(tmp_path: Path) -> None:
    """600 files with bytes of the header, or the length, changed: an array of the file's size, or an InputError."""
    np.save(tmp_path / "a.npy", np.arange(12, dtype=np.float32).reshape(4, 3))
    whole, random = (tmp_path / "a.npy").read_bytes(), np.random.default_rng(0)
    read = 0
    for _ in range(600):
        raw = bytearray(whole)
        for place in random.integers(0, 128, random.integers(1, 4)):
            raw[place] = random.choice([random.integers(256), *b"0123456789(),[]{}'-fiubOTF"])
        raw = raw[: random.integers(len(raw))] if random.random() < 0.1 else raw
        (tmp_path / "b.npy").write_bytes(raw)
        try:
            mapped = map_npy(tmp_path / "b.npy", FIX)
        except InputError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000
        else:
            assert mapped.nbytes + mapped.offset == len(raw) and mapped.dtype.kind in "iuf"
            read += 1
    assert 0 < read < 300
