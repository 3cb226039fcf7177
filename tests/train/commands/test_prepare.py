"""The prepare command, as a user meets it."""

import errno
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from embeddings.errors import InputError
from recsys.datasets import DATASETS
from train.__main__ import main
from train.commands.prepare import command


def _run(*args):
    return CliRunner().invoke(command, args, catch_exceptions=False)


def test_shop_ends_with_counts_rates_place_and_next_step(tmp_path):
    out = str(tmp_path / "shop")
    shown = _run("shop", "--rows", "5000", "--seed", "3", "--out", out).output
    lines = shown.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["train", "validation", "test"]
    counts = [int(line.split()[1].replace(",", "")) for line in lines[:3]]
    assert sum(counts) == 5000
    assert all("% clicked" in line for line in lines[:3])
    assert lines[3] == f"written to {out}"
    assert lines[4] == f"next: python -m train ctr --config configs/shop.yaml data.path={out}"


def test_microlens_runs_from_its_files(tmp_path):
    from tests.recsys.datasets.test_microlens import write_source

    source = write_source(tmp_path / "source")
    shown = _run("microlens", "--source", source, "--history", "4", "--out", str(tmp_path / "out")).output
    assert "train                 32 rows  50.0% clicked" in shown
    assert "test                  20 rows  20.0% clicked" in shown
    assert "configs/microlens.yaml" in shown


def test_movielens_runs_from_its_files(tmp_path):
    from tests.recsys.datasets.test_movielens import write_100k

    source = write_100k(tmp_path / "ml-100k")
    shown = _run("movielens", "--source", source, "--history", "4", "--out", str(tmp_path / "out")).output
    assert "train                 15 rows  66.7% clicked" in shown
    assert "configs/movielens.yaml" in shown


def test_taobao_mm_says_what_has_no_vector(tmp_path):
    from tests.recsys.datasets.taobao import impression, write_shards

    rows = [impression(user, 40 + user, user < 3, [41, 42], [1, 2]) for user in range(1, 9)]
    source = write_shards(tmp_path / "source", {"train": [rows], "test": [rows[:1]]})
    args = ("taobao-mm", "--source", source, "--validation", "1000000", "--out", str(tmp_path / "out"))
    shown = _run(*args).output.splitlines()
    assert shown[0] == "vectors                7; none for 1 of 9 targets, and 0 of 2 behaviours looked up"
    assert shown[1] == "train                  8 rows  25.0% clicked"
    assert shown[2].startswith("validation             0 rows")
    assert "configs/taobao-mm-muse.yaml" in shown[-1]


def test_an_existing_folder_needs_overwrite(tmp_path):
    args = ("shop", "--rows", "1000", "--out", str(tmp_path / "out"))
    _run(*args)
    with pytest.raises(InputError, match="pass --overwrite"):
        _run(*args)
    assert _run(*args, "--overwrite").exit_code == 0


def test_help_names_every_data_set():
    assert set(command.commands) == set(DATASETS)
    prepare_help, main_help = (
        CliRunner().invoke(command, ["--help"]).output,
        CliRunner().invoke(main, ["--help"]).output,
    )
    listed = [line.split()[0] for line in prepare_help.split("Commands:")[1].splitlines() if line.strip()]
    assert listed == list(DATASETS)
    assert ", ".join(DATASETS) in " ".join(main_help.split())


@pytest.mark.parametrize("part", [[], *([name] for name in DATASETS)], ids=str)
def test_help_needs_nothing_heavy(part):
    code = (
        "import sys\nfrom train.__main__ import main\n"
        f"main(['prepare', *{part!r}, '--help'], standalone_mode=False)\n"
        "print('heavy:', sorted({'numpy', 'pyarrow', 'torch', 'pydantic'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "Usage" in shown and "heavy: []" in shown
    if part:
        assert "[default: " in shown and "--overwrite" in shown


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    written = []

    def full(self, table, **_):
        written.append(table.num_rows)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(InputError, match=r"no space left on the disk of '.*out', and nothing was kept"):
        _run("shop", "--rows", "1000", "--out", str(tmp_path / "out"))
    assert written and list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing(tmp_path):
    command = [sys.executable, "-m", "train", "prepare", "shop", "--rows", "50000000", "--items", "1000"]
    process = subprocess.Popen([*command, "--out", str(tmp_path / "out")], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".out.*/train/*.parquet")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert (process.returncode, error.strip()) == (130, "interrupted")
    assert list(tmp_path.iterdir()) == []
