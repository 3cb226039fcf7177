"""What was cut or missed while reading reaches the user, and a refused resume changes nothing."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from embeddings.errors import InputError
from embeddings.frozen.store import build_store
from tests.train import tiny
from tests.train.data.test_filler_rows import spoil
from tests.train.launch import cli, one_line, rows
from train.ctr.config import load_config
from train.ctr.task import train_ctr
from train.distributed.process_group import process_group


def test_shares_are_written_and_a_refused_resume_leaves_the_run(tmp_path: Path, capsys) -> None:
    data = tiny.make_data(tmp_path / "data")
    vectors = np.random.default_rng(0).normal(size=(tiny.ITEMS // 2, 8)).astype(np.float32)
    build_store(str(data / "frozen" / "text"), np.arange(tiny.ITEMS // 2), vectors, overwrite=True)
    path = tmp_path / "c.yaml"
    path.write_text(
        f"data: {{path: {data}}}\nrun: {{root: {tmp_path}, name: r}}\nprocess: {{device: cpu, threads: 1}}\n"
    )
    schema = (data / "schema.yaml").read_text()
    (data / "schema.yaml").write_text(schema.replace("max_missing: 0.5", "max_missing: 0.9"))
    config = load_config(str(path))
    table = tiny.rows(200, 2)
    cut = np.mean([len(h) > 6 for h in table["history"].to_pylist()])
    looked = [
        i for h, t in zip(table["history"].to_pylist(), table["item"].to_pylist(), strict=True) for i in [t, *h[-6:]]
    ]
    with process_group(config.process) as ranks:
        train_ctr(config, ranks)
        reading = json.loads((tmp_path / "r" / "evaluation" / "test.json").read_text())["reading"]
        assert reading["truncated/history"] == pytest.approx(cut)
        assert reading["missing/text"] == pytest.approx(np.mean(np.array(looked) >= tiny.ITEMS // 2))
        assert "missing/text" in capsys.readouterr().out
        before = {name: (tmp_path / "r" / name).read_bytes() for name in ("config.yaml", "run.json", "metrics.jsonl")}
        with pytest.raises(InputError):
            train_ctr(load_config(str(path), ("run.resume=true", "model.embedding_dim=8")), ranks)
        assert before == {name: (tmp_path / "r" / name).read_bytes() for name in before}


def test_what_was_corrupt_is_reported(config, own_data, tmp_path):
    path, run = config(own_data), tmp_path / "runs" / "run"
    for split in ("train", "validation"):
        place = own_data / split / "part-0.parquet"
        pq.write_table(pq.read_table(place), place, row_group_size=64, write_page_checksum=True)
        spoil(place, 1)
    one_line(cli("ctr", "--config", path), "row group 1 of 6: data cannot be read")
    done = cli("ctr", "--config", path, "run.overwrite=true", "data.on_corrupt=skip", "train.epochs=1")
    assert done.status == 0 and "corrupt 0.1667" in done.out and "corrupt 0.32\nepoch 1: validation" in done.out, done
    read = [(r["split"], r["corrupt"]) for r in rows(run, "reading")]
    assert read == [("train", pytest.approx(64 / 384)), ("validation", pytest.approx(64 / 200))]
    assert [r["rows"] for r in rows(run, "evaluation")] == [200 - 64]
    # what scores the run later passes over the same rows, and says so
    out, again = tmp_path / "scores", cli("evaluate", run, "--split", "validation")
    result = json.loads((run / "evaluation" / "validation.json").read_text())
    assert (
        again.status == 0 and result["overall"]["rows"] == 136 and result["reading"]["corrupt"] == pytest.approx(0.32)
    )
    done = cli("predict", run, "--split", "validation", "--out", out)
    assert done.status == 0
    assert f"wrote 136 scores to {out}; 64 rows could not be read and have none" in done.out
    scores = pq.read_table(out / "part-00000.parquet")
    whole = tiny.rows(200, 1)["item"].to_pylist()
    assert scores["target"].to_pylist() == whole[:64] + whole[128:]
