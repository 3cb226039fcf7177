""".npy files: one reader, which checks header and size of a file before it maps the array that the file holds."""

import io
import math
import os
import stat
import warnings
from pathlib import Path

import numpy as np

from embeddings.errors import InputError, first_line, shown

MAGIC = b"\x93NUMPY"
MOST_HEADER = 10_000  # bytes, numpy's own limit; a header of numbers has some 100
MOST_DIMENSIONS = 32


def map_npy(path: str | Path, fix: str, mode: str = "r") -> np.memmap:
    """The numbers in ``path``, memory-mapped, of the shape and dtype that its header says.

    Args:
        fix: what a user does about a file that is none, such as "get the file again".
        mode: "r", or "c" for copy-on-write.

    Raises InputError where the file is no .npy of at least one integer or float, or holds fewer or more bytes than its
    header says; OSError where it cannot be opened.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # to open a pipe would wait for its writer
        raise InputError(f"'{path}' is no file; allowed: a .npy file; {fix}")
    with open(path, "rb") as source:
        start = source.read(12 + MOST_HEADER)
        if start.startswith(b"PK"):
            raise InputError(f"'{path}' is an archive of several arrays; save the one array with numpy.save")
        try:
            shape, fortran, dtype, offset = _header(start)
            _check(shape, dtype, os.fstat(source.fileno()).st_size - offset)
            order = "F" if fortran else "C"
            return np.memmap(source, dtype, mode, offset, shape, order)  # type: ignore[call-overload]  # mode is a str
        except (ValueError, OSError) as error:
            raise InputError(f"'{path}' is not a readable .npy file ({first_line(error)}); {fix}") from None


def _header(start: bytes) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether it is in Fortran's order, dtype and where the values begin. Raises ValueError."""
    if not start.startswith(MAGIC):
        raise ValueError(f"it begins with {shown(start[:6])}, not with {MAGIC!r}")
    version = tuple(start[6:8])
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"its version is {'.'.join(map(str, version))}; allowed for numbers: 1.0, 2.0")
    digits = 2 if version == (1, 0) else 4
    size = int.from_bytes(start[8 : 8 + digits], "little")
    offset = 8 + digits + size
    if size > MOST_HEADER:
        raise ValueError(f"its header has {size:,} bytes; allowed: at most {MOST_HEADER:,}")
    if len(start) < offset:
        raise ValueError(f"it ends within its header, after {len(start)} bytes")
    read = np.lib.format.read_array_header_1_0 if digits == 2 else np.lib.format.read_array_header_2_0
    try:
        with warnings.catch_warnings():  # of Python's parser
            warnings.simplefilter("ignore")
            shape, fortran, dtype = read(io.BytesIO(start[8:offset]))
    except Exception as error:  # Python's parser and numpy's dtypes raise many kinds for what is no header
        raise ValueError(f"its header is {shown(start[8 + digits : offset])}: {first_line(error, 80)}") from None
    return shape, fortran, dtype, offset


def _check(shape: tuple, dtype: np.dtype, held: int) -> None:
    """Raise ValueError unless ``held`` bytes are those of an array of numbers."""
    if dtype.kind not in "iuf":
        raise ValueError(f"it holds {shown(str(dtype))}; allowed: integers and floats")
    if not 1 <= len(shape) <= MOST_DIMENSIONS or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"its shape is {shown(shape)}; allowed: up to {MOST_DIMENSIONS} numbers of at least 0")
    wanted = math.prod(shape) * dtype.itemsize
    if wanted != held:
        raise ValueError(f"{dtype} of shape {shown(shape)} take {shown(wanted)} bytes, but it holds {held}")
    if not wanted:
        raise ValueError(f"its shape is {shown(shape)}: it holds no values")
