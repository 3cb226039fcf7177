"""Side files of a data folder for encoders: pictures and titles of items, as parquet of (item id, content)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embeddings.errors import InputError

TITLES, PICTURES = "titles.parquet", "pictures.parquet"
PICTURES_AT_ONCE = 64  # in memory
_JPEG = b"\xff\xd8\xff"


def write_titles(folder: Path, titles: Mapping[int, str]) -> None:
    """Write ``titles.parquet``: item int64, title string, sorted by item."""
    items = sorted(titles)
    table = pa.table({"item": pa.array(items, pa.int64()), "title": [titles[item] for item in items]})
    pq.write_table(table, folder / TITLES, write_page_checksum=True)


def write_pictures(folder: Path, source: str, items: np.ndarray) -> dict[str, int]:
    """Write ``pictures.parquet``: item int64, picture binary, of those ``items`` with a file ``source``/<item>.jpg.

    Files of other names or items, and files that are no JPEG, are left out. Returns counts of all four kinds.

        items  [I]  int64, unique

    Raises InputError where ``source`` is no folder or has no picture of any item.
    """
    if not Path(source).is_dir():
        raise InputError(f"poster folder '{source}' does not exist; give a folder of <item id>.jpg")
    names = {f"{item}.jpg": int(item) for item in items}
    schema = pa.schema([("item", pa.int64()), ("picture", pa.binary())])
    counts = {"pictures": 0, "pictures_not_jpeg": 0, "pictures_of_unknown_items": 0}
    files: list[tuple[int, Path]] = []
    for file in Path(source).iterdir():
        if file.name in names:
            files.append((names[file.name], file))
        else:
            counts["pictures_of_unknown_items"] += 1
    # JPEG is compressed already
    with pq.ParquetWriter(folder / PICTURES, schema, compression="none", write_page_checksum=True) as writer:
        files.sort()
        for start in range(0, len(files), PICTURES_AT_ONCE):
            contents = [(item, file.read_bytes()) for item, file in files[start : start + PICTURES_AT_ONCE]]
            good = [(item, picture) for item, picture in contents if picture.startswith(_JPEG)]
            counts["pictures"] += len(good)
            counts["pictures_not_jpeg"] += len(contents) - len(good)
            if good:
                writer.write_table(pa.table(dict(zip(schema.names, map(list, zip(*good))))).cast(schema))  # noqa: B905
    if not counts["pictures"]:
        raise InputError(
            f"poster folder '{source}' has no JPEG of any of the {items.size} items; allowed names: <item id>.jpg"
        )
    return {**counts, "items_without_picture": int(items.size) - counts["pictures"]}
