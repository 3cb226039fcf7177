"""The chain: its steps in order, none of them twice, and once for real on a tiny market."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import harness
from benchmarks.paper import chain
from benchmarks.paper.chain import Chain
from embeddings.errors import InputError
from embeddings.frozen.store import FrozenStore
from recsys.schema import load_schema, save_schema
from tests.train.tiny import SCHEMA
from train.ctr.config import load_config


class Played(Chain):
    """Runs nothing, but leaves what each command would leave."""

    def run(self, stage: str, command: str, *words: object, ranks: int = 1) -> None:
        said.append(" ".join([stage, command, *map(str, words)]))
        given = dict(str(w).lstrip("-").split("=", 1) for w in words if "=" in str(w))
        self.seconds[stage] = self.seconds.get(stage, 0) + 1.0
        if command == "prepare":
            self.data.mkdir(parents=True)
            (self.data / "prepare.json").write_text(json.dumps({"flags": {"rows": 9, "searches": 5, "seed": 0}}))
            save_schema(SCHEMA, str(self.data))
            return
        if command == "encode":
            Path(given["out"]).mkdir(parents=True)
            return
        run = Path(given["run.root"]) / given["run.name"]
        for folder in [run / kind for kind in chain.ENCODERS] if command == "make" else [run]:
            (folder / "evaluation").mkdir(parents=True)
            (folder / "run.json").write_text(
                json.dumps({"status": "done", "acc@1": 0.5 if "scl" in run.name else 0.01})
            )
            overall = {"gauc": 0.6 + 0.01 * run.name.count("scl"), "auc": 0.6, "ne": 1.0, "log_loss": 0.4}
            evaluation = {"overall": overall, "frequency_groups": [{"auc": 0.6}]}
            (folder / "evaluation" / "test.json").write_text(json.dumps(evaluation))


said: list[str] = []
SMALL = ("--rows", "9", "--searches", "5", "--seeds", "2")


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """Runs the chain in ``tmp_path`` and returns what it printed."""
    monkeypatch.setattr(chain, "Chain", Played)
    monkeypatch.setattr(chain, "append_all", lambda name, rows: harness.append_all(name, rows, tmp_path / "results"))
    said.clear()

    def run(*words: str) -> str:
        places = ("--data", str(tmp_path / "data"), "--root", str(tmp_path / "runs"))
        return CliRunner().invoke(chain.main, [*places, *SMALL, *words], catch_exceptions=False).output

    return run


def test_steps_come_in_order_and_never_twice(ran, tmp_path):
    shown = ran()
    stages = [line.split()[0] for line in said]
    assert stages == ["render"] + ["scl"] * 4 + ["encode"] * 6 + ["make"] * 3 + ["ctr"] * 14
    for vectors in chain.VECTORS:
        schema = load_schema(str(tmp_path / "data" / "vectors" / vectors))
        assert {name: m.store for name, m in schema.modalities.items()} == {
            "image": "frozen/image",
            "text": "frozen/text",
        }
        assert schema.features == SCHEMA.features
    assert "| SCL | 0.500 | 0.500 | SimTier | 0.6100 +- 0.0000 |" in shown and "+0.0100" in shown
    again = ran()
    assert len(said) == 28 and "| SCL |" in again


def test_each_model_reads_its_own_vectors_and_make(ran, tmp_path):
    ran()
    models = [line for line in said if line.startswith("ctr")]
    for line in models:
        name = next(word for word in line.split() if word.startswith("run.name=")).removeprefix("run.name=ctr-")
        vectors, mode = name.split("-", 1)[0], "simtier+make" if "make" in name else name.split("-")[1]
        assert f"model.multimodal.mode={mode}" in line
        assert f"data.path={tmp_path / 'data' / 'vectors' / ('raw' if vectors == 'none' else vectors)}" in line
        make_run = f"model.multimodal.make.run={tmp_path / 'runs' / f'make-{vectors}'}"
        assert (make_run in line) == ("make" in name)
    assert len({line.split("run.name=")[1] for line in models}) == 14


def test_encoders_are_those_of_the_right_run(ran, tmp_path):
    ran()
    encoders = [line.split()[2] for line in said if line.startswith("encode")]
    runs = tmp_path / "runs"
    assert encoders == ["raw-pixels", "raw-words", *(str(runs / f"{v}-{k}") for v in ("untrained", "scl")
                        for k in ("image", "text"))]  # fmt: skip
    untrained = [line for line in said if "run.name=untrained" in line]
    assert len(untrained) == 2 and all("train.epochs=0" in line for line in untrained)


def test_other_flags_want_another_folder(ran, tmp_path):
    ran()
    with pytest.raises(InputError, match="choose another --data"):
        ran("--rows", "10", "--root", str(tmp_path / "other"))


def test_other_settings_want_another_root(ran, tmp_path):
    ran()
    for other in (["--data", str(tmp_path / "other"), "--seed", "1"], ["train.epochs=3"], ["--ranks", "3"]):
        with pytest.raises(InputError, match="choose another --root"):
            ran(*other)
    assert len(said) == 28, "nothing ran"


def test_a_step_that_fails_ends_the_chain(tmp_path, monkeypatch, capfd):
    whole = Chain(tmp_path / "data", tmp_path / "runs", 1, ())
    with pytest.raises(InputError, match="ended with status 2"):
        whole.prepare(rows=5, searches=5, seed=0)
    assert "5 is not in the range" in capfd.readouterr().err
    assert json.loads((tmp_path / "runs" / "seconds.json").read_text())["render"] > 0


@pytest.mark.slow
def test_the_whole_chain_on_a_tiny_market(tmp_path, monkeypatch):
    monkeypatch.setattr(chain, "append_all", lambda name, rows: harness.append_all(name, rows, tmp_path / "results"))
    monkeypatch.setattr(chain, "VECTORS", {k: chain.VECTORS[k] for k in ("raw", "scl")})
    monkeypatch.setattr(chain, "MODES", ("simtier+make",))
    data, runs = tmp_path / "data", tmp_path / "runs"
    words = ["--data", str(data), "--root", str(runs), "--rows", "2000", "--searches", "600", "--ranks", "1"]
    shown = CliRunner().invoke(chain.main, [*words, "train.epochs=1"], catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    rows = harness.read("chain", tmp_path / "results")
    assert [(row["vectors"], row["mode"]) for row in rows] == [
        ("none", "none"), ("raw", "simtier+make"), ("scl", "simtier+make")
    ]  # fmt: skip
    assert all(0 < row["gauc"] < 1 for row in rows)
    items = json.loads((data / "prepare.json").read_text())["items"]
    widths = {"raw": {"image": 192, "text": 256}}
    for vectors in chain.VECTORS:
        for kind in chain.ENCODERS:
            store = FrozenStore.open(str(data / "vectors" / vectors / "frozen" / kind))
            assert (store.count, store.width) == (items, widths.get(vectors, {}).get(kind, 64))
    config = load_config(str(runs / "ctr-scl-simtier-make-0" / "config.yaml"))
    assert config.model.multimodal.mode == "simtier+make"
    assert set(rows[0]["seconds"]) == {"render", "scl", "encode", "make", "ctr"}
