"""The table of mutations fits the code, and every setting is in it; whether they are noticed is a command's to say."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.mutations.mutation import Mutation, mutation
from tests.mutations.settings import all_settings
from tests.mutations.table import EXCEPTIONS, MUTATIONS

TABLED = {setting for m in MUTATIONS for setting in m.settings}


def test_every_mutation_applies_and_names_tests_that_are_there():
    for m in MUTATIONS:
        assert m.applied(ROOT) != (ROOT / m.file).read_text()
        assert m.tests and all((ROOT / test.split("::")[0]).exists() for test in m.tests), m.tests


def test_every_setting_has_a_mutation_or_a_reason_for_none():
    settings = set(all_settings())
    assert not settings - TABLED - set(EXCEPTIONS), "break these in tests/mutations, or say there why not"
    assert not (TABLED | set(EXCEPTIONS)) - settings, "there are no such settings"
    assert not TABLED & set(EXCEPTIONS)


def test_settings_are_the_leaves_of_both_configs():
    settings = all_settings()
    assert len(settings) == len(set(settings)) > 100
    assert {"train.patience", "scl: train.patience", "make", "model.modality", "model.modalities"} <= set(settings)
    assert {"model.multimodal.make.hidden", "sharding.tables.NAME.min_partition"} <= set(settings)


def test_a_text_that_is_not_there_once_is_an_error(tmp_path: Path):
    (tmp_path / "a.py").write_text("x = 1\ny = 1\n")
    broken = mutation("train.epochs", "a.py", "x = 1", "x = 2", "a")
    assert broken.applied(tmp_path) == "x = 2\ny = 1\n"
    for text, times in (("z = 1", 0), (" = 1", 2)):
        with pytest.raises(ValueError, match=rf"the text is {times} times in a\.py, wanted once"):
            mutation("train.epochs", "a.py", text, "", "a").applied(tmp_path)
    with pytest.raises(ValueError, match=r"0 times in b\.py"):
        mutation("train.epochs", "b.py", "x", "", "a").applied(tmp_path)


@pytest.mark.parametrize(
    ("key", "concerned"),
    [("train", True), ("train.keep", True), ("train.k", False), ("scl: data", True), ("data", False)],
)
def test_a_mutation_is_found_by_its_setting_or_its_section(key: str, concerned: bool):
    assert Mutation(("train.keep", "scl: data.path"), "a", "b", "c", ()).concerns(key) == concerned


def listed(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "tests.mutations", *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_the_command_lists_its_mutations_by_key():
    done = listed("--list", "--only", "train.patience")
    assert done.returncode == 0 and done.stdout.count("train.patience, scl: train.patience: train/run/trainer.py") == 3
    done = listed("--only", "train.patients")
    assert done.returncode == 2 and "no mutation of train.patients" in done.stderr


@pytest.mark.slow
def test_what_is_noticed_and_what_is_not_and_the_tree_stays():
    before = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True).stdout
    done = listed("--only", "process.device")
    assert done.returncode == 0 and "process.device: noticed by tests/train/distributed/" in done.stdout, done
    after = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True).stdout
    assert before == after
