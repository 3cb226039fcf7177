"""A tiny folder of pairs: coloured squares, and their names."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from recsys.scl.pairs_schema import Items, Pairs, Query, Reference, save_pairs
from tests.train.launch import Done, cli

COLOURS = {-5: (220, 30, 30), 2: (30, 220, 30), 7: (30, 30, 220), 1 << 40: (200, 200, 30)}
NAMES = {-5: "red square", 2: "green square", 7: "blue square", 1 << 40: "yellow square"}
ROWS = {"train": 48, "validation": 13, "test": 9}


def picture(colour: tuple[int, ...], noise: int, draw: np.random.Generator) -> bytes:
    pixels = np.clip(np.array(colour) + draw.integers(-noise, noise + 1, (16, 16, 3)), 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def make_pairs(folder: Path, query: str = "image", items: str = "image") -> Path:
    """Write the folder. A query has no hard negative where its row is a multiple of 3."""
    draw = np.random.default_rng(0)
    ids = list(COLOURS)
    for split, rows in ROWS.items():
        (folder / split).mkdir(parents=True)
        item = [ids[i] for i in draw.integers(0, len(ids), rows)]
        content = [
            picture(COLOURS[i], 60, draw) if query == "image" else f"a {NAMES[i]} {n % 5}" for n, i in enumerate(item)
        ]
        other = [None if n % 3 == 0 else ids[ids.index(i) - 1] for n, i in enumerate(item)]
        table = pa.table({"query": content, "item": item, "clicked": pa.array(other, pa.int64())})
        pq.write_table(table, folder / split / "part-0.parquet", row_group_size=10, write_page_checksum=True)
    (folder / "items").mkdir()
    contents = [picture(COLOURS[i], 0, draw) if items == "image" else NAMES[i] for i in ids]
    pq.write_table(
        pa.table({"item": ids, "content": contents}), folder / "items" / "part-0.parquet", write_page_checksum=True
    )
    save_pairs(Pairs(query=Query(kind=query), positive=Reference(column="item"), negative=Reference(column="clicked"),
                     items=Items(column="content", kind=items)), folder)  # fmt: skip
    return folder


def write_config(folder: Path, data: Path) -> Path:
    """``folder/run.yaml`` for tiny encoders, whose runs go to ``folder/runs``."""
    path = folder / "run.yaml"
    path.write_text(
        f"data: {{path: {data}, test: test, batch_size: 8, eval_batch_size: 5, shuffle_rows: 25, workers: 2}}\n"
        "model:\n  width: 8\n  image: {size: 16, channels: [8, 8]}\n"
        "  text: {hidden: 16, heads: 2, layers: 1, max_length: 8, vocabulary: 100}\n"
        "  bank: {rows: 32, momentum: 0.9}\n"
        "optimizer: {lr: 0.01, warmup_steps: 2}\ntrain: {epochs: 3, log_every: 1}\n"
        f"process: {{device: cpu, threads: 1}}\nrun: {{root: {folder / 'runs'}}}\n"
    )
    return path


def changed(folder: Path, split: str, **columns: pa.Array | None) -> None:
    """Put other columns into a split, or none in the place of one."""
    path = folder / split / "part-0.parquet"
    table = pq.read_table(path)
    for name, values in columns.items():
        table = table.drop_columns([name])
        if values is not None:
            table = table.append_column(name, values)
    pq.write_table(table, path, row_group_size=10, write_page_checksum=True)


def column(folder: Path, split: str, name: str) -> list:
    """A column of a split."""
    return pq.read_table(folder / split / "part-0.parquet")[name].to_pylist()


def scl(config: Path, *overrides: str) -> Done:
    """Run the command on a config."""
    return cli("scl", "--config", config, *overrides)
