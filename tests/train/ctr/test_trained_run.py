"""A trained run opened for scoring."""

from pathlib import Path

import pytest

from embeddings.errors import InputError
from tests.train.launch import cli
from train.ctr.trained_run import run_config


def test_a_store_that_changed_is_refused(config, tmp_path):
    import numpy as np

    from embeddings.frozen.store import build_store
    from tests.train import tiny

    folder = tiny.make_data(tmp_path / "own", train_rows=64)
    run = tmp_path / "runs" / "run"
    path = config(folder)
    assert cli("ctr", "--config", path).status == 0
    for width in (tiny.WIDTH, 2 * tiny.WIDTH):
        vectors = np.random.default_rng(1).normal(size=(tiny.ITEMS, width))
        store = build_store(str(folder / "frozen" / "text"), np.arange(tiny.ITEMS), vectors, overwrite=True)
        out = tmp_path / "scores"
        again = ["ctr", "--config", path, "run.resume=true", "train.epochs=3"]
        for arguments in (["evaluate", run], ["predict", run, "--out", out], again):
            done = cli(*arguments)
            assert done.status == 2 and len(done.errors) == 1, done.err
            assert (
                f"frozen store '{store.path}' has checksum {store.checksum}, but the run was trained with" in done.err
            )
            assert "bring that store back, or train again" in done.err
        assert not out.exists()


def test_a_config_is_read_from_its_folder_wherever_that_is_now(tmp_path):
    (tmp_path / "config.yaml").write_text(
        "data: {path: none}\nrun: {root: elsewhere, name: old}\nsharding: {plan: plan.json}\n"
    )
    config = run_config(str(tmp_path), ("data.path=other",))
    assert (Path(config.run_folder), config.data.path) == (tmp_path, "other")
    assert config.sharding.plan is None, "scoring may have other ranks than training"
    with pytest.raises(InputError, match=r"is no run folder: it has no config\.yaml"):
        run_config(str(tmp_path / "no"), ())
