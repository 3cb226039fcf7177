"""MAKE trained by itself: its logit, and the behaviours that it does not see."""

from types import SimpleNamespace

import torch

from recsys.models.make_alone import MAKEAloneArch
from recsys.models.make_alone_config import MAKEAloneConfig
from tests.recsys.models.test_make import CONFIG, ROWS, make_table
from tests.train import tiny

# a second modality, which comes first and is not asked for
SCHEMA = tiny.SCHEMA.model_copy(
    update={"modalities": {"audio": tiny.SCHEMA.modalities["text"], **tiny.SCHEMA.modalities}}
)


def built(tmp_path, **make) -> MAKEAloneArch:
    config = MAKEAloneConfig(modality="text", multimodal={"make": CONFIG.model_copy(update=make)})
    return MAKEAloneArch(SCHEMA, config, [], {"text": make_table(tmp_path)})


def test_its_prediction_is_the_logit_of_make(tmp_path) -> None:
    arch = built(tmp_path)
    assert all(name.startswith("make.") for name in arch.state_dict()), "old checkpoints have these names"
    logits = arch(None, None, SimpleNamespace(frozen={"text": ROWS}))
    assert torch.equal(logits, arch.make(ROWS)[2][:, 0]) and logits.dtype == torch.float32


def test_behaviours_are_dropped_in_training(tmp_path) -> None:
    arch = built(tmp_path, behaviour_dropout=0.5)
    batch = {"text": ROWS, "image": ROWS}
    assert arch.eval().before_exchange(batch) is batch
    seen = arch.train().before_exchange(batch)
    assert seen["image"] is ROWS and (ROWS.history[seen["text"].history != ROWS.history] != -1).all()
    missing = [int((arch.before_exchange(batch)["text"].history == -1).sum()) for _ in range(20)]
    assert min(missing) >= 3 and max(missing) > 5, "three of eight were missing before"
