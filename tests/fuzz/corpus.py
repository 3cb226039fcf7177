"""Whole small files of every format, made by the project's own commands, for the mutators to damage."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.fork_server import TEMPORARY, command, run
from tests.fuzz.score_in_process import SCORER

CONFIG = """data: {path: data, batch_size: 32, eval_batch_size: 64, shuffle_rows: 40}
model:
  embedding_dim: 4
  over_arch: [8, 8]
  attention: {hidden: [4]}
  dropout: 0.1
  multimodal: {mode: simtier, num_tiers: 4, make: {hidden: [4], attention_hidden: 4}}
dense_optimizer: {lr: 0.001}
sparse_optimizer: {name: rowwise_adagrad, lr: 0.02}
sharding: {tables: {user: {sharding_types: [table_wise, row_wise]}}}
train: {epochs: 1, select: auc, log_every: 1, warmup_steps: 2, checkpoint_every: 2, keep: 2}
process: {device: cpu, threads: 1}
run: {root: runs}
make: {train: {epochs: 1}}
"""
SCL_CONFIG = """data: {path: pairs, test: test, batch_size: 8, eval_batch_size: 8, shuffle_rows: 25}
model:
  width: 8
  image: {size: 16, channels: [8, 8]}
  text: {hidden: 16, heads: 2, layers: 1, max_length: 8, vocabulary: 100}
  bank: {rows: 32, momentum: 0.9}
optimizer: {lr: 0.01, warmup_steps: 2}
train: {epochs: 2, max_steps: 3, log_every: 1}
process: {device: cpu, threads: 1}
run: {root: runs}
"""
ASSUME = "lengths: {history: 5, tags: 2.5}\nfrozen: {text: {count: 1000, width: 8, dtype: int8}}\n"


PICTURES = ("image", "timm")  # encoders of pictures; the others are of texts


class NoCorpus(Exception):
    """A command that makes the corpus failed."""


def make_corpus(folder: Path) -> None:
    """Fill ``folder``: data, config, runs, stores, encoders, pairs, plan, hardware and assumptions.

    Raises NoCorpus where a command fails that makes it, or that reads it: what is to be damaged is whole.
    """
    (folder / TEMPORARY).mkdir(parents=True)

    def step(action: Callable[[], int], what: str) -> None:
        done = run(action, folder, watched=False, seconds=120)
        if done.status != 0:
            raise NoCorpus(f"{what}: status {done.status}\n{done.out}\n{done.err}")

    def train(*arguments: object) -> None:
        step(command(arguments), " ".join(map(str, arguments)))

    (folder / "config.yaml").write_text(CONFIG)
    (folder / "scl.yaml").write_text(SCL_CONFIG)
    (folder / "assume.yaml").write_text(ASSUME)
    shutil.copy("embeddings/planner/hardware/l4.yaml", folder / "hardware.yaml")
    step(_raw_files, "raw files")
    train("ctr", "--config", "config.yaml", "run.name=run", "train.max_steps=3")
    train("ctr", "--config", "config.yaml", "run.name=other", "train.max_steps=3", "model.multimodal.mode=none")
    train("make", "--config", "config.yaml", "run.name=makes")
    train("plan", "--config", "config.yaml", "--world-size", 2, "--hardware", "l4", "--out", "plan.json")
    train("plan", "--config", "config.yaml", "--world-size", 1, "--hardware", "cpu-host", "--out", "plan1.json")
    train("scl", "--config", "scl.yaml", "run.name=image", "data.path=pairs")
    train("scl", "--config", "scl.yaml", "run.name=words", "data.path=texts")
    for name in ("image", "words"):
        shutil.move(folder / "runs" / name / "encoder", folder / "encoders" / name)
        shutil.rmtree(folder / "runs" / name)
    train("export", "runs/run", "--out", "models/m", "--table", "user=int8", "--table", "tag=float16")
    step(_earlier, "checkpoints as earlier versions wrote them")
    for made in (*folder.rglob("*.out"), *folder.rglob("tensorboard")):
        shutil.rmtree(made) if made.is_dir() else made.unlink()
    tried = shutil.copytree(folder, folder.with_name(f"{folder.name}-tried"))
    for arguments in _readers(folder):
        done = run(command(arguments), tried, watched=True)
        if done.status or done.noted:
            raise NoCorpus(f"{arguments}: status {done.status}\n{done.out}\n{done.err}\n{done.noted}")
    shutil.rmtree(tried)


def _readers(folder: Path) -> list[list[object]]:
    """Commands that read what is there, one of each kind, and succeed."""
    ctr, plan = ["ctr", "--config", "config.yaml"], ["plan", "--config", "config.yaml", "--world-size", 2]
    take = ["model.multimodal.mode=make", "model.multimodal.make.run=runs/makes"]
    return [
        ["check", "--config", "config.yaml"],
        ["collisions", "--config", "config.yaml"],
        *([*ctr, f"run.name={name}", "run.resume=true", "train.max_steps=4"] for name in ("run", "early")),
        [*ctr, "run.name=planned", "train.max_steps=1", "--plan", "plan1.json"],
        [*ctr, "run.name=taken", "train.max_steps=1", *take],
        *(["evaluate", f"runs/{name}", "--checkpoint", "step-00000003"] for name in ("run", "early")),
        ["predict", "runs/run", "--out", "scores"],
        ["predict", "--model", "models/m", "--data", "data", "--out", "model-scores"],
        [SCORER, "models/m"],
        ["report", "runs/run", "runs/other"],
        [*plan, "--hardware", "l4", "--plan", "plan.json"],
        [*plan, "--hardware", "hardware.yaml", "--assume", "assume.yaml"],
        *(["store", "verify", f"stores/{p.name}"] for p in (folder / "stores").iterdir()),
        ["store", "build", "--out", "built", "--ids", "raw/ids.npy", "--vectors", "raw/vectors.npy"],
        *(["encode", f"encoders/{p.name}", "--items", f"{'pairs' if p.name in PICTURES else 'texts'}/items",
           "--column", "content", "--out", f"encoded/{p.name}", "--device", "cpu"]
          for p in (folder / "encoders").iterdir()),
    ]  # fmt: skip


def _raw_files() -> int:
    """In a child: data, stores, pairs and items, and encoders around models of transformers and timm."""
    import numpy as np

    from embeddings.frozen.store import build_store
    from tests.train import tiny
    from tests.train.scl.tiny import make_pairs

    data = Path("data")
    tiny.make_data(data, train_rows=96)
    for seed, (split, rows) in enumerate({"train": 96, "validation": 60, "test": 60}.items()):
        _checksummed(data / split / "part-0.parquet", tiny.rows(rows, seed))
    draw = np.random.default_rng(3)
    vectors = draw.normal(size=(30, 8)).astype(np.float32)
    for dtype in ("int8", "float16", "float32"):
        build_store(f"stores/{dtype}", np.arange(0, 60, 2), vectors, dtype=dtype)
    make_pairs(Path("pairs"))
    make_pairs(Path("texts"), query="text", items="text")
    Path("encoders").mkdir()
    Path("raw").mkdir()
    np.save("raw/ids.npy", np.arange(30))
    np.save("raw/vectors.npy", vectors)
    _library_encoders()
    return 0


def _earlier() -> int:
    """In a child: runs/early, which is runs/run with checkpoints as earlier versions wrote them."""
    from tests.train.checkpoint.earlier import make_earlier

    shutil.copytree("runs/run", "runs/early")
    for checkpoint in Path("runs/early/checkpoints").glob("step-*"):
        make_earlier(checkpoint)
    return 0


def _checksummed(path: Path, table) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, path, row_group_size=32, write_page_checksum=True)


def _library_encoders() -> None:
    """Encoders around a tiny model of transformers, and one of timm; none where they are not installed."""
    from recsys.scl.config import ImageEncoderConfig, TextEncoderConfig
    from recsys.scl.encoders.encoder_folder import save_encoder
    from recsys.scl.encoders.transformers_models import from_transformers

    try:
        import transformers
    except ImportError:
        return
    os.makedirs("models/bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "square", "a", "green", "blue", "yellow"]
    Path("models/bert/vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizerFast(vocab_file="models/bert/vocab.txt").save_pretrained("models/bert")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    transformers.BertModel(transformers.BertConfig(vocab_size=len(words), **sizes)).save_pretrained("models/bert")
    save_encoder(from_transformers(TextEncoderConfig(name="models/bert", max_length=8), 8), "encoders/bert")
    from recsys.scl.encoders.timm_models import from_timm

    image = ImageEncoderConfig(name="test_byobnet", size=32, pretrained=False)
    save_encoder(from_timm(image, 8), "encoders/timm")
