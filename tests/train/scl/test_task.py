"""What the settings of a run of contrastive learning mean: its pairs, its parts, its steps."""

import pytest
import torch

from embeddings.errors import InputError
from recsys.scl.encoders.image_decoder import PictureDecoder
from tests.train.scl import tiny
from train.config import load_settings
from train.run.trainer_state import TrainerState
from train.scl import evaluation, pair_reader
from train.scl.config import SCLConfig
from train.scl.task import SCLTask


@pytest.fixture
def task(config, ranks):
    """Builds the task of the tiny config with overrides."""
    return lambda *overrides: SCLTask(load_settings(SCLConfig, str(config), overrides), ranks)


def stepped(task: SCLTask) -> dict[str, float]:
    """A row of metrics after the first step."""
    state = TrainerState()
    batches = task.batches(state)
    task.step(batches, state)
    batches.close()
    return task.logged(state)[0]


def test_a_loss_that_is_not_finite_names_its_step_and_its_place(task):
    built, state = task(), TrainerState(step=3, epoch=1)
    next(built.towers.query.parameters()).data.fill_(torch.nan)
    batches = built.batches(state)
    for _ in range(2):
        built.step(batches, state)
        state.step, state.batch = state.step + 1, state.batch + 1
    batches.close()
    said = "the loss is not finite at step 4: split 'train', epoch 2, batch 0; look for extreme values in the rows"
    with pytest.raises(InputError, match=said):
        built.logged(state)


def items(task: SCLTask, epoch: int = 0) -> list[list[int]]:
    return [batch.items.tolist() for batch in task.reader.epoch(epoch)]


def test_splits_are_read_by_their_names(config, ranks, own_pairs):
    for split, name in (("train", "learn"), ("validation", "judge"), ("test", "report")):
        (own_pairs / split).rename(own_pairs / name)
    names = ("data.train=learn", "data.validation=judge", "data.test=report")
    built = SCLTask(load_settings(SCLConfig, str(config), names), ranks)
    assert built.rows_per_epoch == tiny.ROWS["train"]
    assert [built.rows_of(split) for split in ("judge", "report")] == [tiny.ROWS["validation"], tiny.ROWS["test"]]


def test_a_step_has_as_many_pairs_as_the_config_says(task):
    assert [batch.queries.size(0) for batch in task("data.batch_size=7").reader.epoch(0)] == [7] * (48 // 7)


def test_the_order_of_pairs_goes_by_seed_epoch_and_window(task):
    one, again = items(task()), items(task())
    assert one == again
    others = [items(task(), 1), items(task("train.seed=1")), items(task("data.shuffle_rows=48"))]
    assert len({str(order) for order in [one, *others]}) == 4


def test_threads_and_how_far_they_read_ahead(task, monkeypatch):
    made = []
    for module in (pair_reader, evaluation):
        thread, pool = module.PrefetchThread, module.ThreadPoolExecutor

        def watched(results, ahead, name, thread=thread):
            made.append((name, ahead))
            return thread(results, ahead, name)

        def pooled(workers, thread_name_prefix, pool=pool):
            made.append((thread_name_prefix, workers))
            return pool(workers, thread_name_prefix=thread_name_prefix)

        monkeypatch.setattr(module, "PrefetchThread", watched)
        monkeypatch.setattr(module, "ThreadPoolExecutor", pooled)
    built = task("data.workers=3", "data.prefetch=5")
    items(built)
    assert made == [("pairs", 3), ("pairs", 5)]
    built.evaluate("validation", lambda rows: None)
    assert {workers for name, workers in made[2:] if name == "evaluation"} == {3, 4}, "threads; results they have ready"


@pytest.mark.parametrize(("mib", "again"), [(0, True), (16, False)])
def test_decoded_pictures_are_kept_within_the_cache(task, monkeypatch, mib, again):
    decoded, decode = [], PictureDecoder._one
    monkeypatch.setattr(PictureDecoder, "_one", lambda self, content: (decoded.append(1), decode(self, content))[1])
    built = task(f"data.cache_mib={mib}", "data.workers=1")
    items(built)
    decoded.clear()
    items(built)
    assert bool(decoded) == again


@pytest.mark.parametrize("changed", [False, True])
def test_views_of_an_item_differ_where_the_config_changes_them(task, changed):
    settings = {"crop": 1, "stretch": 1, "rotate": 0, "flip": 0, "colour": 0, "light": 0.5 if changed else 0}
    batches = task(*(f"augment.{key}={value}" for key, value in settings.items())).reader.epoch(0)
    batch = next(batches)
    batches.close()
    one, other = (batch.positives[batch.items == batch.items.mode().values][i] for i in (0, 1))
    assert torch.equal(one, other) != changed


def test_first_weights_go_by_the_seed(task):
    one, again, other = (task(f"train.seed={seed}").towers.query.project.weight for seed in (0, 0, 1))
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_hard_negatives_are_read_where_they_have_a_weight(task):
    for weight, some in ((0.0, False), (0.5, True)):
        assert any(b.negatives.size(0) for b in task(f"model.triplet.weight={weight}").reader.epoch(0)) == some


def test_the_loss_is_info_nce_and_the_triplet_loss_by_its_weight(task):
    for weight in (0.25, 2.0):
        row = stepped(task(f"model.triplet.weight={weight}"))
        assert row["triplet"] > 0 and row["loss"] == pytest.approx(row["info_nce"] + weight * row["triplet"], rel=1e-5)


def test_the_margin_is_added_to_every_triplet(task):
    low, high = (stepped(task(f"model.triplet.margin={margin}"))["triplet"] for margin in (1.25, 1.75))
    assert high - low == pytest.approx(0.5, abs=1e-4), "untrained vectors are all alike, so that none is at 0"


@pytest.mark.parametrize(("clip", "clipped"), [("0.001", True), ("1000000", False), ("null", False)])
def test_gradients_are_clipped_to_their_norm_together(task, clip, clipped):
    built = task(f"train.clip_grad_norm={clip}")
    stepped(built)
    norm = float(torch.cat([p.grad.flatten() for p in built.towers.parameters()]).norm())
    assert norm == pytest.approx(0.001, rel=1e-3) if clipped else norm > 0.01


@pytest.mark.parametrize(
    ("autocast", "dtype"), [("off", torch.float32), ("auto", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_encoders_compute_in_the_dtype_of_autocast(task, autocast, dtype):
    built, seen = task(f"train.autocast={autocast}", "model.bank.rows=0"), []
    built.towers.query.project.register_forward_hook(lambda module, given, result: seen.append(result.dtype))
    stepped(built)
    assert seen == [dtype]


def test_the_learning_rate_rises_is_applied_and_is_logged(task):
    """AdamW's first step moves every weight by the rate, where there is no decay."""
    built = task("optimizer.lr=0.06", "optimizer.warmup_steps=5", "optimizer.weight_decay=0")
    parameters = [*built.towers.query.parameters()]
    before = [p.detach().clone() for p in parameters]
    assert stepped(built)["lr"] == pytest.approx(0.01)
    moved = max(float((p.detach() - b).abs().max()) for p, b in zip(parameters, before, strict=True))
    assert moved == pytest.approx(0.01, rel=1e-2)


def test_the_temperature_begins_as_the_config_says(task):
    assert 1 / float(task("model.temperature=0.25").towers.temperature().detach()) == pytest.approx(0.25)
