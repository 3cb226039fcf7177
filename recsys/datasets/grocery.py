"""Grocery Store as pairs: photos taken in shops, and the studio pictures or descriptions of the same products.

Klasson, Zhang and Kjellstrom, A Hierarchical Grocery Store Image Dataset With Visual and Semantic Labels (2019).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embeddings.errors import InputError, nearest, shown
from embeddings.files.parquet_batches import read_batches
from embeddings.files.parquet_footer import read_footer
from recsys.datasets.io.data_folder import PROVENANCE, data_folder
from recsys.datasets.io.flags import check_at_least
from recsys.scl.pairs_schema import Items, Pairs, Query, Reference, save_pairs

PHOTOS, PRODUCTS = "photos.parquet", "products.parquet"
SPLITS = {"train": "train", "val": "validation"}  # of the data set -> ours
ITEMS = {"image": ("iconic_image", "picture"), "text": ("description", "description")}
GROUP_ROWS = 512  # pictures are some kilobytes each
_INTEGERS = ("class_id", "coarse_class_id")


@dataclass(frozen=True, kw_only=True)
class GroceryConfig:
    """Which pairs to make of it.

    items     image: studio pictures; text: descriptions
    held_out  one in so many train photos of each product becomes validation, and val becomes test; 0: val is validation
    """

    items: str = "image"
    held_out: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(self, held_out=0, seed=0)
        if self.items not in ITEMS:
            raise InputError(f"items is '{self.items}'; allowed: {', '.join(ITEMS)}")


def prepare(source: str, out: str, config: GroceryConfig | None = None, *, overwrite: bool = False) -> dict[str, int]:
    """Write the Grocery Store folder ``source`` as pairs ``out``; return the rows of each split.

    The hard negative of a photo is another product of its coarse class, drawn once; null where the class has no other.
    Raises InputError for a missing or malformed source file, or an ``out`` that cannot be written.
    """
    config = config or GroceryConfig()
    photos = _read(Path(source) / PHOTOS, ("split", "class_id", "coarse_class_id", "image"))
    products = _read(Path(source) / PRODUCTS, ("class_id", "coarse_class_id", ITEMS[config.items][0]))
    ids = products["class_id"].to_numpy().astype(np.int64)
    coarse = dict(zip(ids.tolist(), products["coarse_class_id"].to_pylist(), strict=True))
    source_column, column = ITEMS[config.items]
    with data_folder(out, overwrite=overwrite) as folder:
        items = pa.table({"item": ids, column: products[source_column]})
        _write(items, folder / "items")
        counts = _write_splits(folder, photos, coarse, config)
        pairs = Pairs(
            query=Query(kind="image"),
            positive=Reference(column="item"),
            negative=Reference(column="clicked"),
            items=Items(column=column, kind=config.items),
        )
        save_pairs(pairs, folder)
        about = {"generator": "grocery-store", "flags": asdict(config), "rows": counts, "items": int(ids.size)}
        (folder / PROVENANCE).write_text(json.dumps(about, indent=2) + "\n")
    return counts


def _write_splits(folder: Path, photos: pa.Table, coarse: dict[int, int], config: GroceryConfig) -> dict[str, int]:
    random = np.random.default_rng(config.seed)
    item = photos["class_id"].to_numpy().astype(np.int64)
    if unknown := sorted(set(item.tolist()) - coarse.keys()):
        raise InputError(f"{PHOTOS} has photos of class {unknown[0]}, which {PRODUCTS} lacks; get the files again")
    split = np.array(photos["split"].to_pylist())
    if other := sorted(set(split.tolist()) - SPLITS.keys()):
        raise InputError(f"{PHOTOS} has split '{other[0]}'; allowed: {', '.join(SPLITS)}; get the file again")
    split = np.array([SPLITS[s] for s in split])
    if config.held_out:
        split[split == "validation"] = "test"
        for product in np.unique(item):
            rows = random.permutation(np.flatnonzero((item == product) & (split == "train")))
            split[rows[: rows.size // config.held_out]] = "validation"
    clicked = [_other(random, product, coarse) for product in item.tolist()]
    counts = {}
    for name in ("train", "validation", "test"):
        rows = np.flatnonzero(split == name)
        if not rows.size:
            continue
        table = pa.table({
            "query": photos["image"].take(pa.array(rows)),
            "item": item[rows],
            "clicked": pa.array([clicked[row] for row in rows.tolist()], pa.int64()),
        })  # fmt: skip
        _write(table, folder / name)
        counts[name] = int(rows.size)
    return counts


def _write(table: pa.Table, folder: Path) -> None:
    folder.mkdir()
    pq.write_table(table, folder / "part-00000.parquet", row_group_size=GROUP_ROWS, write_page_checksum=True)


def _other(random: np.random.Generator, product: int, coarse: dict[int, int]) -> int | None:
    """Another product of the same coarse class."""
    others = [other for other, group in coarse.items() if group == coarse[product] and other != product]
    return int(random.choice(others)) if others else None


def _read(path: Path, columns: tuple[str, ...]) -> pa.Table:
    if not path.exists():
        raise InputError(f"'{path}' does not exist; get the data set again, or fix --source")
    file = read_footer(path)
    names = file.columns.names
    for name in columns:
        if names.count(name) != 1:
            raise InputError(f"'{path}' has no column '{name}'{nearest(name, names)}; columns: {shown(names)}")
    kinds = pa.schema([file.columns.field(name) for name in columns])
    table = pa.Table.from_batches([batch for _, batch in read_batches(file, columns, GROUP_ROWS)], kinds)
    for name in columns:
        if name in _INTEGERS and not pa.types.is_integer(table[name].type):
            raise InputError(f"'{path}', column '{name}' is {table[name].type}; allowed: integers; get the file again")
        if table[name].null_count:
            raise InputError(f"'{path}', column '{name}' has {table[name].null_count} nulls; get the file again")
    return table
