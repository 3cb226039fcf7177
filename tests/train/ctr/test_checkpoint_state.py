"""What a checkpoint of a CTR run holds, and whose it refuses."""

from tests.train.launch import cli, one_line


def test_another_optimizer_is_refused(config):
    path = config()
    assert cli("ctr", "--config", path, "train.max_steps=2").status == 0
    done = cli("ctr", "--config", path, "run.resume=true", "sparse_optimizer.name=sgd")
    one_line(done, "sparse_optimizer.name is sgd, but the checkpoint's is rowwise_adagrad", "set it back")


def test_sgd_has_nothing_to_save(config):
    types = {"user": "data_parallel", "item": "row_wise", "tag": "table_wise"}
    plan = [f"sharding.tables.{table}.sharding_types=[{sharding_type}]" for table, sharding_type in types.items()]
    arguments = ["ctr", "--config", config(), "sparse_optimizer.name=sgd", "model.embedding_dim=8", *plan]
    assert cli(*arguments, "train.max_steps=3").status == 0
    done = cli(*arguments, "run.resume=true")
    assert done.status == 0 and "step 3" in done.out, done.err


def test_resume_with_another_model(config):
    path = config()
    assert cli("ctr", "--config", path, "train.max_steps=3").status == 0
    done = cli("ctr", "--config", path, "run.resume=true", "model.embedding_dim=8")
    assert done.status == 2 and len(done.errors) == 1, done.err
    assert "the checkpoint is of another model: table 'sparse.bags.embedding_bags.user.weight'" in done.err
    done = cli("ctr", "--config", path, "run.resume=true", "model.over_arch=[8]")
    assert done.status == 2 and len(done.errors) == 1, done.err
    assert "step-00000003' is of another model: " in done.err
