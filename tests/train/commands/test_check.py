"""The check command: the resolved config, with the schema and without."""

import yaml

from tests.train.launch import cli


def test_check_prints_the_resolved_config(config):
    path = config()
    done = cli("check", "--config", path, "train.epochs=7")
    assert done.status == 0 and yaml.safe_load(done.out)["train"]["epochs"] == 7
    done = cli("check", "--config", path, "data.path=nowhere")
    assert done.status == 2 and done.err.startswith("error: no schema.yaml in 'nowhere'")
    assert cli("check", "--config", path, "--no-schema", "data.path=nowhere").status == 0


def test_it_describes_every_setting_without_a_config():
    for what, setting in (("config", "eval_batch_size"), ("schema", "num_embeddings")):
        done = cli("check", "--describe", what)
        assert done.status == 0 and setting in done.out
    done = cli("check")
    assert done.status == 2 and "--config is missing; the shipped ones are in configs/" in done.err
