"""A run's config: files, overrides, mistakes, and help without torch."""

import json
import subprocess
import sys

import pytest
import yaml

from embeddings import validation
from embeddings.errors import InputError
from tests.train.launch import ROOT
from tests.train.refused import refused
from train.config import load_settings, save_config
from train.ctr.config import Config, load_config
from train.scl.config import SCLConfig

SCL = ("grocery.yaml", "shop-image.yaml", "shop-text.yaml")  # settings of python -m train scl


@pytest.mark.parametrize("name", [p.name for p in (ROOT / "configs").glob("*.yaml")])
def test_shipped_configs_are_valid(name):
    path = ROOT / "configs" / name
    settings = SCLConfig if name in SCL else Config
    assert load_settings(settings, str(path)).run.name == name.removesuffix(".yaml")


def test_overrides_win_and_keep_their_types(small_config):
    config = load_config(
        str(small_config),
        (
            "train.epochs=3",
            "dense_optimizer.lr=1e-4",
            "train.clip_grad_norm=null",
            "model.over_arch=[8,4]",
            "data.path=a=b",
            "run.resume=true",
            "sharding.tables.item.sharding_types=[row_wise]",
            "model.multimodal.num_tiers=5",
        ),
    )
    assert (config.train.epochs, config.dense_optimizer.lr, config.train.clip_grad_norm) == (3, 1e-4, None)
    assert config.model.over_arch == [8, 4] and config.data.path == "a=b" and config.run.resume is True
    assert config.sharding.tables["item"].sharding_types == ["row_wise"]
    assert (config.model.multimodal.mode, config.model.multimodal.num_tiers) == ("vector", 5)
    assert config.run.name == "mine" and config.run_folder == "runs/mine"


def test_on_off_yes_and_no_are_text_where_text_is_wanted(small_config, tmp_path):
    small_config.write_text("data: {path: yes, test: no}\ntrain: {autocast: off}\nrun: {root: on, overwrite: yes}\n")
    config = load_config(str(small_config))
    assert (config.data.path, config.data.test, config.train.autocast, config.run.root) == ("yes", "no", "off", "on")
    assert config.run.overwrite is True, "a setting that is true or false takes these words too"
    config = load_config(str(small_config), ("train.autocast=off", "run.name=no", "run.overwrite=off", "run.resume=on"))
    assert (config.train.autocast, config.run.name) == ("off", "no")
    assert (config.run.overwrite, config.run.resume) == (False, True)
    save_config(config, str(tmp_path / "stored.yaml"))
    assert load_config(str(tmp_path / "stored.yaml")) == config


def test_the_resolved_config_is_complete_and_reloads_to_itself(small_config, tmp_path):
    config = load_config(str(small_config), ("train.epochs=3", "sharding.tables.item.min_partition=4"))
    save_config(config, str(tmp_path / "stored.yaml"))
    assert load_config(str(tmp_path / "stored.yaml")) == config
    stored = yaml.safe_load((tmp_path / "stored.yaml").read_text())
    assert stored["train"]["log_every"] == 50 and stored["run"]["name"] == "mine"


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("trian.epochs=1", "unknown key 'trian'; did you mean 'train'?"),
        ("train.epoch=1", "unknown key 'train.epoch'; did you mean 'epochs'?"),
        ("data.train=train/day1", "data.train: 'train/day1' cannot name a file or folder: it is a path; allowed: one"),
        ("data.validation=../days", "data.validation: '../days' cannot name a file or folder: it is a path"),
        ("data.test=..", "data.test: '..' cannot name a file or folder: '..' means a folder that is there"),
        ("run.name=../other", "run.name: '../other' cannot name a file or folder: '..' means a folder that is there"),
        ("run.name=/other", "run.name: '/other' cannot name a file or folder: a name is missing in it; allowed: names"),
        ("train.epochs=0", "train.epochs: Input should be greater than or equal to 1, got 0"),
        ("train.epochs=many", "train.epochs: Input should be a valid integer"),
        ("data.batch_size=null", "data.batch_size: Input should be a valid integer, got null"),
        ("data.path=null", "data.path: Input should be a valid string, got null"),
        ("run.resume=Auto", "run.resume: allowed: true, false, auto; got 'Auto'"),
        ("train.epochs", "override 'train.epochs' is not of the form key.sub=value, such as train.epochs=2"),
        ("a." * 5000 + "b=1", "goes 5000 keys deep"),
        ("model.over_arch=[1", "override 'model.over_arch=[1', which begins as a list, mapping or quote, is not "),
        ("data.path=${oc.env:HOME}", "has '${', and nothing is filled in here; write the value itself"),
        ("train.epochs=3 #2", "train.epochs: Input should be a valid integer"),
        ("train.epochs=" + "9" * 10_000, "train.epochs: Unable to parse input string as an integer"),
        ("train.seed=" + "9" * 400, "train.seed: Input should be less than or equal to 1000000000000000000"),
        ("dense_optimizer.lr=" + "9" * 400, "dense_optimizer.lr: "),
        ("dense_optimizer.lr=1e400", "dense_optimizer.lr: Input should be a finite number, got inf"),
        ("run.name=" + "x" * 5000, "run.name: String should have at most 4096 characters"),
        ("model.over_arch=[" + "1," * 65 + "]", "model.over_arch: List should have at most 64 items"),
        ("model.arch=[1]", "model"),
        ("model=3", "model"),
        ("=3", "unknown key ''"),
        ("data..path=3", "unknown key 'data.'"),
    ],
)
def test_mistakes(small_config, override, part):
    text = refused(small_config, override)
    assert part in text, text


def test_the_name_that_a_run_takes_from_its_config_is_a_name_too(small_config, tmp_path):
    odd = small_config.rename(tmp_path / "a\x07.yaml")
    assert "cannot name a file or folder: it has a character that cannot be printed; allowed: names" in refused(odd)
    assert load_config(str(odd), ("run.name=exp/one",)).run_folder == "runs/exp/one"


def test_old_names_of_the_model_are_read(small_config, capsys, monkeypatch):
    monkeypatch.setattr(validation, "_SAID", set())
    old = ("model.multimodal.make.withheld=0.3", "model.modalities.image.make.thinned=0.2", "model.alone=null")
    new = ("model.multimodal.make.modality_dropout=0.3", "model.modalities.image.make.behaviour_dropout=0.2")
    assert load_config(str(small_config), old) == load_config(str(small_config), new)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and "'modality_dropout'" in said[0] and "'behaviour_dropout'" in said[1]
    assert load_config(str(small_config), old) == load_config(str(small_config), new) and not capsys.readouterr().err


def test_old_names_of_one_layer_go_over_new_ones_of_another(small_config, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(validation, "_SAID", set())
    (tmp_path / "new.yaml").write_text(
        "data: {path: somewhere}\nmodel: {multimodal: {make: {modality_dropout: 0.5}}}\nmake: {train: {epochs: 3}}\n"
    )
    config = load_config(str(tmp_path / "new.yaml"), ("model.multimodal.make.withheld=0.3",))
    assert config.model.multimodal.make.modality_dropout == 0.3
    assert capsys.readouterr().err == (
        "note: key 'withheld' is now called 'modality_dropout'; the old name is read too\n"
    )
    for file, section in (("modality_dropout", "withheld"), ("withheld", "modality_dropout"), ("withheld", "withheld")):
        (tmp_path / "section.yaml").write_text(
            f"data: {{path: somewhere}}\nmodel: {{multimodal: {{make: {{{file}: 0.5}}}}}}\n"
            f"make: {{model: {{multimodal: {{make: {{{section}: 0.2}}}}}}}}\n"
        )
        config = load_config(str(tmp_path / "section.yaml"), command="make")
        assert config.model.multimodal.make.modality_dropout == 0.2
    with pytest.raises(InputError, match="'withheld' is the old name of 'modality_dropout', and both are given"):
        (tmp_path / "both.yaml").write_text(
            "data: {path: somewhere}\nmodel: {multimodal: {make: {modality_dropout: 0.5, withheld: 0.3}}}\n"
        )
        load_config(str(tmp_path / "both.yaml"))


def test_a_config_is_written_whole_or_not_at_all(small_config, tmp_path, monkeypatch):
    save_config(load_config(str(small_config)), str(tmp_path / "config.yaml"))
    before = (tmp_path / "config.yaml").read_text()
    assert load_config(str(tmp_path / "config.yaml")) == load_config(str(small_config), ("run.name=mine",))

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError):
        save_config(load_config(str(small_config), ("train.epochs=9",)), str(tmp_path / "config.yaml"))
    assert (tmp_path / "config.yaml").read_text() == before


def test_mistakes_in_several_sections(small_config):
    text = refused(small_config, "run.resume=true", "run.overwrite=true")
    assert text.endswith("run.resume and run.overwrite exclude each other; keep one")


def test_files_that_are_no_config(tmp_path):
    assert "does not exist; the shipped ones are in configs/" in refused(tmp_path / "no.yaml")
    file = tmp_path / "bad.yaml"
    for text, part in (
        ("data: [", "is not readable YAML"),
        ("- a\n", "keys are expected, such as data: {path: FOLDER}, got ['a']"),
        ("just words", "keys are expected, such as data: {path: FOLDER}, got 'just words'"),
        ("", "data: Field required"),
        ("data: {}", "data.path: Field required"),
    ):
        file.write_text(text)
        assert part in refused(file), text


HELP = """
import json, sys, time
from train.__main__ import COMMANDS, run
seconds = {}
for name in COMMANDS:
    began = time.monotonic()
    sys.argv = ["train", name, "--help"]
    assert run() == 0
    seconds[name] = time.monotonic() - began
heavy = [m for m in ("torch", "torchrec", "pyarrow", "fbgemm_gpu") if m in sys.modules]
print(json.dumps({"heavy": heavy, "commands": list(seconds)}), file=sys.stderr)
"""


def test_help_of_every_command_imports_no_torch():
    done = subprocess.run([sys.executable, "-c", HELP], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stderr.splitlines()[-1])
    assert "torch" not in report["heavy"] and {"ctr", "evaluate", "predict", "check"} <= set(report["commands"])
    assert done.stdout.count("Usage: python -m train") == len(report["commands"])


WORDS = ("20241130", "1_1", "on", "true", "12:30", "1e3", "2024-11-30", "010", "a #2", "a: b", " a")


@pytest.mark.parametrize("word", WORDS)
def test_text_is_taken_as_it_is_typed(small_config, word, tmp_path):
    config = load_config(str(small_config), (f"run.name={word}", f"data.path={word}", f"run.root={word}/runs"))
    assert (config.run.name, config.data.path, config.run.root) == (word, word, f"{word}/runs")
    save_config(config, str(tmp_path / "stored.yaml"))
    assert load_config(str(tmp_path / "stored.yaml")) == config
    if word.strip() == word and " " not in word:
        (tmp_path / "own.yaml").write_text(f"data: {{path: x, test: {word}}}\nrun:\n  name: {word} # why\n")
        config = load_config(str(tmp_path / "own.yaml"))
        assert (config.run.name, config.data.test) == (word, word)


def test_quotes_null_lists_and_mappings_of_an_override(small_config):
    quoted = ('run.name="2024"', "data.test=null", "data.train='null'")
    config = load_config(str(small_config), (*quoted, "model={over_arch: [8, '4']}", "run.resume=true"))
    assert (config.run.name, config.data.test, config.data.train) == ("2024", None, "null")
    assert config.model.over_arch == [8, 4] and config.run.resume is True
    assert load_config(str(small_config), ("data.batch_size=1_000", "data.shuffle_rows=1e6")).data.batch_size == 1000


def test_the_files_name_is_the_runs_whatever_it_looks_like(tmp_path):
    for name in ("20241130", "1_1", "on"):
        (tmp_path / f"{name}.yaml").write_bytes(b"\xef\xbb\xbfdata:\r\n  path: x\r\n")
        assert load_config(str(tmp_path / f"{name}.yaml")).run.name == name


def test_the_home_folder_and_urls_in_paths(small_config, monkeypatch):
    monkeypatch.setenv("HOME", "/home/anna")
    config = load_config(str(small_config), ("data.path=~/data", "run.root=~/runs", "sharding.plan=~/plan.json"))
    assert (config.data.path, config.run.root) == ("/home/anna/data", "/home/anna/runs")
    assert config.sharding.plan == "/home/anna/plan.json"
    for key in ("data.path", "run.root", "sharding.plan", "sharding.hardware"):
        assert f"{key}: 's3://bucket/x' is a URL" in refused(small_config, f"{key}=s3://bucket/x")


def test_an_override_that_is_no_utf8_is_refused(small_config):
    assert "is not UTF-8 text; rename the file" in refused(small_config, "data.path=\udcff")
