"""Settings of contrastive learning: mistakes in them."""

from tests.train.launch import one_line
from tests.train.scl.tiny import scl


def test_a_wrong_key_is_named(config):
    one_line(scl(config, "model.bank.row=5"), "unknown key 'model.bank.row'; did you mean 'rows'?")
