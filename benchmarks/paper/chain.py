"""The whole method in one command: render, pre-train encoders, encode, pre-train MAKE, train CTR models, compare.

    python -m benchmarks.paper.chain

Every step is a command that it prints first. What is done is kept in --data and --root, and not done again: after a
kill, the same command goes on.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from benchmarks.harness import append_all, run_command
from benchmarks.paper import chain_rows
from benchmarks.paper.chain_rows import ROWS, SEARCHES
from benchmarks.ranks import launch_command
from embeddings.errors import InputError
from embeddings.files.json_file import write_json
from embeddings.files.plain_scalars import typed
from embeddings.files.yaml_file import read_yaml, write_yaml

ENCODERS = {"image": ("picture", "raw-pixels"), "text": ("title", "raw-words")}  # modality -> column, baseline
# kind of vectors -> settings of its encoders' training; none are trained for raw ones
VECTORS: dict[str, tuple[str, ...] | None] = {"raw": None, "untrained": ("train.epochs=0",), "scl": ()}
MODES = ("simtier", "simtier+make")
DATA = "data/chain"
MAKE_EPOCHS = 4
SPLITS = ("train", "validation", "test")


class Chain:
    """The steps, in order. ``data`` and ``root`` hold what they write, and the time of the commands that ended.

    Args:
        vectors: as ``VECTORS``.
        modes: how the vectors enter the CTR models.
        timed: file in ``root`` for the times.
    """

    def __init__(
        self,
        data: Path,
        root: Path,
        ranks: int,
        overrides: tuple[str, ...],
        vectors: Mapping[str, tuple[str, ...] | None] = VECTORS,
        modes: Sequence[str] = MODES,
        timed: str = "seconds.json",
    ) -> None:
        self.data, self.root, self.ranks, self.overrides = data, root, ranks, overrides
        self.vectors, self.modes = vectors, modes
        self.seconds: dict[str, float] = {}
        self._timed = root / timed
        root.mkdir(parents=True, exist_ok=True)
        if self._timed.is_file():
            self.seconds = json.loads(self._timed.read_text())

    def whole(self, rows: int, searches: int, seed: int, seeds: int) -> list[dict]:
        """Every step that is not done; one row a CTR model and seed.

        Raises InputError where ``root`` holds runs of other settings, or a step fails.
        """
        self._claim({"rows": rows, "searches": searches, "seed": seed})
        self.prepare(rows, searches, seed)
        self.train_encoders()
        self.encode()
        if any("make" in mode for mode in self.modes):
            self.train_make()
        rows_of_models = list(self.train_ctr(seeds))
        shapes = {"rows": rows, "searches": searches, "seed": seed, "ranks": self.ranks}
        same = {"shapes": shapes, "accuracy": self.accuracy(), "seconds": self.seconds}
        return [{**row, **same} for row in rows_of_models]

    def run(self, stage: str, *words: object, ranks: int = 1) -> None:
        """``python -m train WORDS``, over ranks where there are several; the time goes to ``stage``."""
        command = launch_command(ranks, "train", *words)
        if ranks == 1:
            command = [sys.executable, "-m", "train", *map(str, words)]
        print("== python -m train", *words, flush=True)
        began = time.monotonic()
        done = subprocess.run(command)
        self.seconds[stage] = round(self.seconds.get(stage, 0) + time.monotonic() - began, 1)
        write_json(self._timed, self.seconds)
        if done.returncode:
            raise InputError(f"that command ended with status {done.returncode}; what it said is above")

    def _claim(self, shapes: dict[str, int]) -> None:
        """Runs that are done are not trained again, so those in ``root`` must be of these settings."""
        wanted = {**shapes, "data": str(self.data), "ranks": self.ranks, "overrides": list(self.overrides)}
        if (told := self.root / "wanted.json").is_file() and (had := json.loads(told.read_text())) != wanted:
            other = {key: had.get(key) for key in wanted if had.get(key) != wanted[key]}
            raise InputError(f"the runs in '{self.root}' are of other settings, {other}; choose another --root")
        write_json(told, wanted)

    def prepare(self, rows: int, searches: int, seed: int) -> None:
        wanted = {"rows": rows, "searches": searches, "seed": seed}
        if (told := self.data / "prepare.json").is_file():
            flags = json.loads(told.read_text())["flags"]
            if any(flags.get(key) != value for key, value in wanted.items()):
                raise InputError(f"'{self.data}' was prepared with {flags}, not {wanted}; choose another --data")
            return
        self.run("render", "prepare", "shop", *(f"--{k}={v}" for k, v in wanted.items()), f"--out={self.data}")

    def train_encoders(self) -> None:
        for kind in ENCODERS:
            path = f"data.path={self.data / 'searches' / kind}"
            for vectors, settings in self.vectors.items():
                if settings is not None:
                    self._run_folder("scl", f"{vectors}-{kind}", f"configs/shop-{kind}.yaml", path, *settings)

    def encode(self) -> None:
        """A data folder for each kind of vectors: the same rows, other stores."""
        for vectors, settings in self.vectors.items():
            folder = self.data / "vectors" / vectors
            for kind, (column, baseline) in ENCODERS.items():
                if (folder / "frozen" / kind).is_dir():
                    continue
                encoder = baseline if settings is None else self.root / f"{vectors}-{kind}"
                words = (encoder, f"--items={self.data / 'items'}", f"--column={column}", f"--data={self.data}")
                self.run("encode", "encode", *words, f"--out={folder / 'frozen' / kind}", ranks=self.ranks)
            for split in SPLITS:
                if not (folder / split).is_symlink():
                    (folder / split).symlink_to(Path("..") / ".." / split)
            schema = typed(read_yaml(self.data / "schema.yaml", "schema"))
            item = {"target": "item", "history": "history"}
            schema["modalities"] = {kind: {"store": f"frozen/{kind}", **item} for kind in ENCODERS}
            write_yaml(folder / "schema.yaml", schema)

    def train_make(self) -> None:
        for vectors in self.vectors:
            if not all(_done(self.root / f"make-{vectors}" / kind) for kind in ENCODERS):
                settings = (self._vectors(vectors), f"train.epochs={MAKE_EPOCHS}")
                self._train("make", "make", f"make-{vectors}", "configs/shop.yaml", *settings)

    def train_ctr(self, seeds: int) -> Iterator[dict]:
        """One row a model and seed."""
        for seed in range(seeds):
            for vectors, mode in [("none", "none"), *((v, m) for v in self.vectors for m in self.modes)]:
                name = f"ctr-{vectors}-{mode.replace('+', '-')}-{seed}"
                settings = [self._vectors(next(iter(self.vectors)) if vectors == "none" else vectors)]
                settings += [f"model.multimodal.mode={mode}", f"train.seed={seed}"]
                settings += [f"model.multimodal.make.run={self.root / f'make-{vectors}'}"] if "make" in mode else []
                self._run_folder("ctr", name, "configs/shop.yaml", *settings)
                evaluation = json.loads((self.root / name / "evaluation" / "test.json").read_text())
                row = {"vectors": vectors, "mode": mode, "seed": seed}
                row |= {key: evaluation["overall"][key] for key in ("gauc", "auc", "ne", "log_loss")}
                row["auc_by_frequency"] = [group["auc"] for group in evaluation["frequency_groups"]]
                yield row

    def accuracy(self) -> dict[str, dict[str, float]]:
        """Kind of vectors -> modality -> Acc@1 on the searches' validation split."""
        return {
            vectors: {kind: _about(self.root / f"{vectors}-{kind}")["acc@1"] for kind in ENCODERS}
            for vectors, settings in self.vectors.items()
            if settings is not None
        }

    def _vectors(self, vectors: str) -> str:
        return f"data.path={self.data / 'vectors' / vectors}"

    def _run_folder(self, command: str, name: str, config: str, *settings: str) -> None:
        if not _done(self.root / name):
            self._train(command, command, name, config, *settings)

    def _train(self, stage: str, command: str, name: str, config: str, *settings: str) -> None:
        where = (f"run.root={self.root}", f"run.name={name}", "run.resume=auto")
        self.run(stage, command, f"--config={config}", *self.overrides, *settings, *where, ranks=self.ranks)


def _about(run: Path) -> dict:
    path = run / "run.json"
    return json.loads(path.read_text()) if path.is_file() else {"status": "missing"}


def _done(run: Path) -> bool:
    return _about(run)["status"] == "done"


@click.command()
@click.option("--data", default=DATA, show_default=True, help="Data folder to write.")
@click.option("--root", default="runs/paper/chain", show_default=True, help="Folder of the runs.")
@click.option("--rows", default=ROWS, show_default=True, help="Impressions.")
@click.option("--searches", default=SEARCHES, show_default=True, help="Searches, from which encoders learn.")
@click.option("--seeds", default=1, show_default=True, help="CTR models of each kind.")
@click.option("--seed", default=0, show_default=True, help="Of the market.")
@click.option("--ranks", default=2, show_default=True, help="Processes of each training and encoding.")
@click.argument("overrides", nargs=-1, metavar="[KEY.SUB=VALUE]...")
def main(data: str, root: str, rows: int, searches: int, seeds: int, seed: int, ranks: int, **rest: tuple) -> None:
    """Run what is missing, write a row for every CTR model into benchmarks/results/chain.jsonl, print the table.

    Overrides go to every training, such as process.threads=1.
    """
    chain = Chain(Path(data), Path(root), ranks, rest["overrides"], VECTORS, MODES)
    print(chain_rows.chain(append_all(chain_rows.RESULTS, chain.whole(rows, searches, seed, seeds))))
    print(f"{sum(chain.seconds.values()) / 60:.1f} minutes: {chain.seconds}")


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.paper.chain"))
