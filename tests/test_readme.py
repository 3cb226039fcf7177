"""The README's commands, run as they stand and in their order, in a checkout of their own beside small data."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT
from tests.test_serving_docs import make_serve, run_examples
from tests.train import tiny

TEXT = (ROOT / "README.md").read_text()
# What a target of make is told besides, so that it takes seconds: the set-up is skipped, data are small.
MAKE = {
    "demo": "-o setup",
    "serve": "",  # which ends on ^C alone: make_serve
    "test": "-o setup-test TESTS=tests/test_docs.py",
    "chain": "-o setup CHAIN='--rows 2000 --searches 600 --ranks 1 train.epochs=1'",
}
WORDS = ("make", "python", "torchx")


def commands() -> list[str]:
    """Every command that stands in a block of its own, continuation lines joined, comments left out."""
    text = TEXT.replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    return [" ".join(shlex.split(line, comments=True)) for line in lines if line.split()[0] in WORDS]


def schema() -> str:
    """The example of schema.yaml."""
    block = re.search(r"(?m)^( +)tables:\n(?:\1.*\n|\n)+", TEXT)
    assert block, "the README has no schema"
    return "\n".join(line.removeprefix(block[1]) for line in block[0].splitlines()) + "\n"


def write_rows(folder: Path) -> None:
    """Step 1: rows with the columns that the example names, and the vectors of their items."""
    for seed, split in enumerate(("train", "validation", "test")):
        rows = tiny.rows(400, seed).rename_columns({"user": "user_id", "item": "item_id", "history": "clicked"})
        tiny.write_split(folder / "mydata", split, rows.select(["label", "user_id", "item_id", "clicked"]))
    vectors = np.random.default_rng(0).normal(size=(tiny.ITEMS, 8)).astype(np.float32)
    pq.write_table(pa.table({"item": np.arange(tiny.ITEMS), "vector": list(vectors)}), folder / "vectors.parquet")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The tracked files, with the built kernels, and a small market where `make demo` would generate one."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    kernels = [str(p.relative_to(ROOT)) for p in ROOT.glob("embeddings/kernels/native/*.so")]
    for name in filter(None, [*listed, *kernels]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    run(
        tmp_path,
        "python -m train prepare shop --rows 4000 --users 100 --items 300 --width 16 --searches 100 --out data/shop",
    )
    return tmp_path


def run(folder: Path, command: str) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def test_the_readme_is_short_and_has_its_commands() -> None:
    assert len(TEXT.splitlines()) <= 170
    assert {command.split()[0] for command in commands()} == set(WORDS) and len(commands()) > 10
    targets = {command.split()[1] for command in commands() if command.startswith("make")}
    assert targets <= MAKE.keys(), f"say here how `make {targets - MAKE.keys()}` is run on small data"


@pytest.mark.slow
def test_its_commands_run_in_the_order_of_the_text(checkout: Path) -> None:
    write_rows(checkout)
    for command in commands():
        program, word, *_ = command.split()
        if "train check" in command:  # what steps 3 and 4 have the reader write
            (checkout / "mydata" / "schema.yaml").write_text(schema())
            shop = (checkout / "configs" / "shop.yaml").read_text()
            (checkout / "mydata.yaml").write_text(shop.replace("data/shop", "mydata"))
        if command == "make serve":
            with make_serve(checkout) as (port, _):
                run_examples(checkout, port)
            continue
        run(checkout, f"{command} {MAKE[word]}" if program == "make" else command)
    assert (checkout / "scores").is_dir() and (checkout / "runs" / "mydata" / "report.html").is_file()
