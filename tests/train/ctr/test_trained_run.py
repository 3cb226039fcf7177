"""A trained run opened for scoring."""

from tests.train.launch import cli


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
