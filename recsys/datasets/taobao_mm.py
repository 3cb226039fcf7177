"""TAOBAO-MM as CTR rows: 99 million impressions with histories of up to 1,000 and 35 million int8 vectors, streamed.

Two layouts of the public data set are read. Joined shards ``train/*.parquet`` and ``test/*.parquet`` pass through in
their order, a thousand rows at a time. Where there are none, the tables they were made of are joined: that takes some
45 bytes of memory for each sample of a split. Ids are 64-bit hashes, and 0 is a missing one: in a history it is left
out with its category, elsewhere it stays. Rows have no time: validation is a fixed part of the train users.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from embeddings.errors import InputError
from embeddings.frozen.build_store import build_from_parquet
from recsys.datasets.io.data_folder import data_folder, write_description
from recsys.datasets.io.dataset_statistics import DatasetStatistics
from recsys.datasets.io.flags import check_at_least
from recsys.datasets.io.join import LookupTable, concatenated, left_join
from recsys.datasets.io.parquet_source import TableChunk, num_rows, parquet_files, stream
from recsys.datasets.io.split_writer import Columns, SplitCount, SplitWriter, row_group_rows, take_rows
from recsys.datasets.io.user_split import held_out
from recsys.features.ragged import as_array, as_ragged
from recsys.schema import Feature, Modality, Schema, TableSchema

VECTORS = "scl_embedding_int8_p90.parquet"
USER = {"129_1": "user", **{f"130_{n}": f"profile_{n}" for n in range(1, 6)}}
ITEM = {"205": "item", "206": "category", "213": "place_1", "214": "place_2"}
LISTS = {"150_2_180": "history", "151_2_180": "history_category"}
LABEL = "label_0"
NARROW = ("profile_3", "profile_4", "profile_5")  # half as wide as the others, as in MUSE
ROWS = 1024  # decoded at once
USERS = 128  # of the user features: each has some ten samples


@dataclass(frozen=True, kw_only=True)
class TaobaoConfig:
    """What is read of the rows. ``validation`` holds one in so many of the train users out."""

    history: int = 1000
    validation: int = 100

    def __post_init__(self) -> None:
        check_at_least(self, history=1, validation=2)


def prepare(
    source: str, out: str, config: TaobaoConfig | None = None, *, overwrite: bool = False
) -> dict[str, SplitCount]:
    """Write TAOBAO-MM from folder ``source`` as a data folder ``out``; return what each split holds.

    Raises InputError for a missing or malformed source file, or an ``out`` that cannot be written.
    """
    config = config or TaobaoConfig()
    with data_folder(out, overwrite=overwrite) as folder:
        store = build_from_parquet(
            str(folder / "frozen" / "scl"),
            str(_table(Path(source), VECTORS)),
            id_column="205",
            vector_column="205_c",
            dtype="int8",
            encoder="TAOBAO-MM's SCL, 128 x int8 as published",
        )
        names = [n for n in (*USER.values(), *ITEM.values()) if n not in ("user", "item")]
        statistics = DatasetStatistics(
            store, {name: "history_category" if name == "category" else None for name in names}
        )
        group_rows = row_group_rows(len(LISTS) * config.history)
        writers = {split: SplitWriter(folder / split, group_rows) for split in ("train", "validation", "test")}
        with writers["train"], writers["validation"], writers["test"]:
            for split in ("train", "test"):
                for raw in _impressions(Path(source), split):
                    columns = _columns(raw, config.history)
                    statistics.add(columns)
                    held = held_out(as_array(columns["user"]), config.validation) & (split == "train")
                    for name, index in (("validation", np.flatnonzero(held)), (split, np.flatnonzero(~held))):
                        if index.size:  # a part of few users is often all of one split
                            writers[name].write(columns if index.size == held.size else take_rows(columns, index))
        counts = {split: writer.count for split, writer in writers.items()}
        write_description(
            folder, _schema(statistics, config.history), "taobao-mm", asdict(config), counts, **statistics.facts()
        )
    return counts


def _table(source: Path, name: str) -> Path:
    places = [source / "raw" / name, source / name]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise InputError(f"no '{name}' in '{source}' or '{source / 'raw'}'; --source is the folder of the data set")
    return file


def _impressions(source: Path, split: str) -> Iterator[Columns]:
    """All impressions of a published split, with the data set's own column names."""
    shards = parquet_files(source / split)
    samples = shards or [_table(source, f"{split}_samples.parquet")]
    with tqdm(total=num_rows(samples), unit="row", unit_scale=True, desc=f"prepare {split}", disable=None) as bar:
        for columns in _shards(shards) if shards else _joined(source, split):
            yield columns
            bar.update(len(columns["label"]))


def _shards(files: list[Path]) -> Iterator[Columns]:
    for file in files:
        for part in stream(file, [*USER, *ITEM], [LABEL, *LISTS], ROWS):
            part.check_aligned(*LISTS)
            yield {**part.columns, "label": part.one_hot(LABEL)}


def _joined(source: Path, split: str) -> Iterator[Columns]:
    items = LookupTable.of(stream(_table(source, "item_features.parquet"), list(ITEM), [], 64 * ROWS), "205")
    parts = stream(_table(source, f"{split}_samples.parquet"), ["129_1", "205"], [LABEL], 64 * ROWS)
    samples = concatenated(
        {"129_1": p.columns["129_1"], "205": p.columns["205"], "label": p.one_hot(LABEL)} for p in parts
    )
    for columns in left_join(samples, _users(source, split), "129_1", ROWS):
        yield {**columns, **items.rows(as_array(columns["205"]))}


def _users(source: Path, split: str) -> Iterator[TableChunk]:
    for part in stream(_table(source, f"{split}_user_features.parquet"), list(USER), list(LISTS), USERS):
        part.check_aligned(*LISTS)
        yield part


def _columns(raw: Columns, history: int) -> Columns:
    """The written columns of one part: label, ids, and histories without their missing items."""
    known = as_ragged(raw["150_2_180"]).values != 0
    lists = {new: as_ragged(raw[old]).where(known).newest(history) for old, new in LISTS.items()}
    return {"label": raw["label"], **{new: raw[old] for old, new in {**USER, **ITEM}.items()}, **lists}


def _schema(statistics: DatasetStatistics, history: int) -> Schema:
    narrow = {name: {"embedding_dim": 8} for name in NARROW}
    sizes = statistics.table_sizes()
    tables = {name: TableSchema(num_embeddings=size, **narrow.get(name, {})) for name, size in sizes.items()}
    sequences = {"history": "item", "history_category": "category"}
    return Schema(
        tables=tables,
        features=[Feature(name=name, kind="id", table=name) for name in (*USER.values(), *ITEM.values())]
        + [Feature(name=n, kind="sequence", table=t, target=t, max_length=history) for n, t in sequences.items()],
        modalities={"scl": Modality(store="frozen/scl", target="item", history="history")},
    )
