"""A shelf of tiny items for the encoding's tests."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

SIDE = 16


def pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size=(count, SIDE, SIDE, 3), dtype=np.uint8)


def png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def write_items(folder: Path, ids, contents, column: str = "picture", files: int = 1, group: int = 100) -> Path:
    """Parquet files of items, in row groups of ``group`` rows."""
    folder.mkdir(parents=True)
    kind = pa.string() if column == "title" else pa.binary()
    table = pa.table({"item": pa.array(ids, pa.int64()), column: pa.array(contents, kind)})
    cuts = np.linspace(0, len(table), files + 1).astype(int)
    for n in range(files):
        part = table.slice(cuts[n], cuts[n + 1] - cuts[n])
        pq.write_table(part, folder / f"part-{n}.parquet", row_group_size=group, write_page_checksum=True)
    return folder


def encode(source, out, *more, encoder="raw-pixels", column="picture") -> tuple:
    """Arguments of the command encode."""
    return (encoder, "--items", source, "--column", column, "--out", out, *more)
