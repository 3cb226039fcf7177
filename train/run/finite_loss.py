"""Refuses a loss that is infinite or NaN: one rank names the step and the place of its rows, all ranks end."""

from collections.abc import Callable

from embeddings.errors import InputError
from train.run.metrics_window import TrainingMetrics
from train.run.trainer_state import TrainerState

NOT_FINITE = (
    "look for extreme values in the rows, lower the learning rates, or set train.clip_grad_norm; run.resume=true goes "
    "on from the last checkpoint"
)


def refuse_bad_loss(metrics: TrainingMetrics, state: TrainerState, place: Callable[[int], object]) -> None:
    """End the run where a loss of the window was not finite. All ranks call it.

    Args:
        metrics: of the window that ends with step ``state.step``.
        place: says of a batch of the epoch, counted from 0, where it comes from; called on one rank.

    Raises:
        InputError: on the first rank whose loss was not finite.
        SystemExit: with status 2, on the other ranks.
    """
    if metrics.bad_step is None:
        return
    if not metrics.bad_here:
        raise SystemExit(2)
    batch = state.batch - 1 - (state.step - metrics.bad_step)
    raise InputError(f"the loss is not finite at step {metrics.bad_step}: {place(batch)}; {NOT_FINITE}")
