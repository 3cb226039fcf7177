"""Mutations of .npy files: their headers, and their values."""

import io
import random
import struct
import zipfile
from pathlib import Path

import numpy as np

from tests.fuzz.mutate import binary, payloads


def header(text: str, version: tuple[int, int] = (1, 0)) -> bytes:
    """Magic, version and length before a header's ``text``."""
    body = text.encode("latin1" if version < (3, 0) else "utf8")
    length = struct.pack("<H" if version == (1, 0) else "<I", min(len(body), 65535 if version == (1, 0) else 2**32 - 1))
    return b"\x93NUMPY" + bytes(version) + length + body


def _texts(descr: str, shape: tuple[int, ...], rng: random.Random) -> str:
    shapes = [
        *(
            "(-1,)",
            "(True,)",
            "(None,)",
            "((1,),)",
            "[1, 2]",
            "5",
            "()",
            "(1.5,)",
            "('a',)",
            f"({10**18},)",
            f"({2**63},)",
        ),
        *(f"({2**64}, {2**64})", str((*shape, 0)), str(shape[::-1]), "(0,)", str((*shape, 1)), str((1, *shape))),
        *("(" * 300, "[" * 5000, "1" + "0" * 5000, "(-(-3),)", "__import__('os')", "{}", "(" + "1," * 500 + ")"),
    ]
    descrs = [
        *(
            "'O'",
            "'|O'",
            "'<i4'",
            "'>i8'",
            "'<f8'",
            "'<c16'",
            "'<U1000000000'",
            "'V8'",
            "'M8[ns]'",
            "'x'",
            "''",
            "None",
            "1",
        ),
        *(
            "[('a', '<i8')]",
            "[('a', 'O')]",
            "('<i8', (1000000000,))",
            "'<i8,<i8'",
            "{'names': [], 'formats': []}",
            "'S0'",
        ),
        *("[" * 200, "('<f4', -1)", "[('a','<i4',(2,2))]", "'?'", "'b'", "'<f2'"),
    ]
    orders = ["True", "False", "None", "2", "'False'"]
    parts = {"descr": repr(descr), "fortran_order": "False", "shape": str(shape)}
    for _ in range(rng.choice([1, 1, 2])):
        key = rng.choice([*parts])
        parts[key] = rng.choice({"descr": descrs, "fortran_order": orders, "shape": shapes}[key])
    if rng.random() < 0.15:
        del parts[rng.choice([*parts])]
    if rng.random() < 0.1:
        parts[rng.choice(["extra", "", "descr "])] = "1"
    text = "{" + ", ".join(f"'{key}': {value}" for key, value in parts.items()) + ", }"
    if rng.random() < 0.1:
        text = rng.choice(
            ["", "{", "[" * 5000, "1", "None", "{" * 500, "\0" * 50, "x=1", text * 2, "# comment", "{[]: 1}"]
        )
    return text.ljust(117) + "\n"


def mutate_npy(path: Path, rng: random.Random) -> None:
    """Damage an .npy file: bytes, header, values, or make something else of it."""
    data = path.read_bytes()
    array = np.load(path, allow_pickle=False)
    kind = rng.randrange(10)
    if kind <= 2:
        binary.mutate_file(path, rng)
    elif kind <= 5:
        version = rng.choice([(1, 0), (1, 0), (2, 0), (3, 0), (9, 9), (0, 0)])
        path.write_bytes(header(_texts(array.dtype.str, array.shape, rng), version) + data[128:])
    elif kind == 6:
        path.write_bytes(payloads.object_array(path.parent, rng, array.shape))
    elif kind == 7:
        other = rng.choice(
            [array.astype("float64"), array[:-1], array.T, array[::-1], np.zeros_like(array), array.astype(">f4")]
        )
        np.save(path, other)
    elif kind == 8:
        path.write_bytes(
            rng.choice([_archive(array), payloads.pickled(path.parent, rng), b"PK\x03\x04" + data[4:], b""])
        )
    else:
        mutate_values(path, rng)


def mutate_values(path: Path, rng: random.Random) -> None:
    """Change values and nothing else: to NaN, infinite, 0, huge ones; ids to equal, unsorted and extreme ones."""
    array = np.load(path).copy()
    flat = array.reshape(-1)
    rows = np.array(rng.sample(range(len(array)), rng.choice([1, 1, min(5, len(array)), len(array)])))
    if array.dtype.kind == "f":
        array[rows] = rng.choice([np.nan, np.inf, -np.inf, 0, 1e30, 1e-30, 2.0])
    elif rng.random() < 0.5:
        array[rows] = rng.choice([0, np.iinfo(array.dtype).max, np.iinfo(array.dtype).min, 1])
    else:
        flat[[0, -1]] = flat[[-1, 0]]
    np.save(path, array)


def _archive(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, archive.open("arr_0.npy", "w") as member:
        np.save(member, array)
    return out.getvalue()
