"""The check command: the resolved config, with the schema and without."""

import pytest
import yaml

from tests.train.launch import cli, one_line


def test_check_prints_the_resolved_config(config):
    path = config()
    done = cli("check", "--config", path, "train.epochs=7")
    assert done.status == 0 and yaml.safe_load(done.out)["train"]["epochs"] == 7
    done = cli("check", "--config", path, "data.path=nowhere")
    assert done.status == 2 and done.err.startswith("error: no schema.yaml in 'nowhere'")
    assert cli("check", "--config", path, "--no-schema", "data.path=nowhere").status == 0


@pytest.mark.parametrize("width", [1, 2, 3, 10])
def test_sharding_types_that_no_table_of_such_a_width_can_have(config, width):
    done = cli("check", "--config", config(), f"model.embedding_dim={width}", "sharding.sharding_types=[row_wise]")
    one_line(done, f"as its width {width} is no multiple of 4, which FBGEMM needs", "allowed: ['data_parallel']; set ")
    assert cli("check", "--config", config(), f"model.embedding_dim={width}").status == 0
    done = cli("check", "--config", config(), f"model.embedding_dim={width}", "process.device=cuda")
    one_line(done, "are not possible, as its width", "set its embedding_dim to one")


def test_it_describes_every_setting_without_a_config():
    for what, setting in (("config", "eval_batch_size"), ("schema", "num_embeddings")):
        done = cli("check", "--describe", what)
        assert done.status == 0 and setting in done.out
    done = cli("check")
    assert done.status == 2 and "--config is missing; the shipped ones are in configs/" in done.err
