"""Mutations of the settings that every kind of training shares: splits, loop, process, run."""

from tests.mutations.mutation import Mutation, mutation

TRAINER, SCHEDULE = "train/run/trainer.py", "train/run/checkpoint_schedule.py"
CONFIG, GROUP, FOLDER = "train/config.py", "train/distributed/process_group.py", "train/run/run_folder.py"
DEVICE, DTYPE = "train/distributed/device.py", "train/distributed/test_device.py"
CONFIGS = "train/test_config.py::test_on_off_yes_and_no_are_text_where_text_is_wanted"
LOOP = "train/run/test_trainer.py"
PROCESS = "train/distributed/test_process_group.py"
THREADS, CORES = "train/distributed/threads.py", "train/distributed/test_threads.py"


def shared(setting: str, file: str, text: str, becomes: str, *tests: str) -> Mutation:
    """Of a setting of ctr and of scl."""
    return mutation(f"{setting}, scl: {setting}", file, text, becomes, *tests)


MUTATIONS = [
    shared("data.validation", TRAINER, "self._evaluate(self.config.data.validation, stop", 'self._evaluate("validation", stop', LOOP),
    shared("data.test", TRAINER, "split = self.config.data.test", 'split = self.config.data.test and "test"', LOOP),
    mutation("data.test", TRAINER, "if split is not None:", "if True:", "train/ctr/test_task.py"),
    shared("train.epochs", TRAINER, "if state.epoch >= loop.epochs:", "if state.epoch >= 1:", LOOP),
    shared("train.max_steps", TRAINER, "state.batch < task.num_batches and state.step < most", "state.batch < task.num_batches", LOOP),
    shared("train.max_steps", TRAINER, "last = state.epoch + 1 == loop.epochs or state.step >= (loop.max_steps or math.inf)",
           "last = state.epoch + 1 == loop.epochs", LOOP),
    shared("train.log_every", TRAINER, "state.batch % loop.log_every == 0", "state.batch % 50 == 0", LOOP),
    shared("train.log_every", TRAINER, "state.batch % loop.log_every == 0", "state.step % loop.log_every == 0", LOOP),
    shared("train.evaluate_every", TRAINER, "last or (state.epoch + 1) % loop.evaluate_every == 0", "True", LOOP),
    shared("train.evaluate_every", TRAINER, "return last or (state.epoch + 1)", "return (state.epoch + 1)", LOOP),
    shared("train.patience", TRAINER, "return loop.patience is None or state.worse < loop.patience", "return True", LOOP),
    shared("train.patience", TRAINER, "state.worse < loop.patience", "state.worse <= loop.patience", LOOP),
    shared("train.patience", TRAINER, "0 if better else state.worse + 1", "state.worse + (not better)", LOOP),
    shared("train.checkpoint_every", SCHEDULE, "by_steps = every is not None and step % every == 0", "by_steps = False", LOOP),
    shared("train.checkpoint_minutes", SCHEDULE, ">= 60 * minutes", ">= 3600 * minutes", LOOP),
    shared("train.checkpoint_minutes", SCHEDULE, "minutes is not None and", "False and", LOOP),
    shared("train.keep", TRAINER, "self.ranks, loop.keep, process.timeout_s", "self.ranks, 2, process.timeout_s", LOOP),
    shared("train.autocast", CONFIG, 'autocast == "bfloat16" or (', "(", DTYPE),
    shared("train.autocast", CONFIG, 'autocast == "auto" and device', 'autocast != "bfloat16" and device', DTYPE),
    shared("train.autocast", CONFIG, 'autocast == "auto" and device_type == "cuda"', 'autocast == "auto"', DTYPE),
    shared("process.device", DEVICE, 'if wanted == "cuda" and not available:', "if False:", PROCESS),
    shared("process.device", DEVICE, 'if wanted == "cpu" or not available:', "if not available:", DTYPE),
    shared("process.threads", GROUP, "rank_threads(config.threads, launched)", "rank_threads(None, launched)", PROCESS),
    shared("process.threads", THREADS, "if setting is not None:", "if False:", CORES),
    shared("process.threads", THREADS, "max(1, int(host_cores() / launched.local_world_size))", "1", CORES),
    shared("process.timeout_s", GROUP, "seconds=config.timeout_s", "seconds=600", PROCESS),
    shared("process.timeout_s", TRAINER, "loop.keep, process.timeout_s", "loop.keep, 600", LOOP),
    shared("process.grace_s", TRAINER, "config.process.grace_s", "25", LOOP),
    shared("run.name", "train/config.py", "if config.run.name is None:", "if True:", CONFIGS),
    shared("run.root", "train/config.py", "Path(self.run.root)", 'Path("runs")', "train/run/test_run_folder.py"),
    shared("run.resume", TRAINER, "self._resume() if self.config.run.resume else 0", "0", "train/end_to_end/ctr/test_resume.py::test_max_steps_then_more"),
    shared("run.resume", FOLDER, "elif exists and not config.run.resume:", "elif exists:", "train/run/test_run_folder.py"),
    shared("run.overwrite", FOLDER, "if config.run.overwrite:\n            for old", "if False:\n            for old", "train/run/test_run_folder.py"),
    shared("run.overwrite", FOLDER, "if exists and config.run.overwrite:", "if exists and False:", "train/run/test_run_folder.py"),
]  # fmt: skip
