"""The command line: python -m train COMMAND. Commands are imported only when they run."""

import os
import signal
import sys

import click

from embeddings.command_line import LazyCommands, exit_status
from embeddings.launched_rank import rank_prefix
from embeddings.standard_streams import make_lasting
from recsys.datasets import DATASETS
from train.distributed.launcher_watch import watch_launcher
from train.distributed.signals import signals_as_interrupt

# command -> (module, one-line help). The module has a click command named `command`.
COMMANDS = {
    "prepare": ("train.commands.prepare", f"Write standard rows and stores of a data set ({', '.join(DATASETS)})."),
    "store": ("train.commands.store", "Build, verify or show a frozen store."),
    "encode": ("train.commands.encode", "Encode items into a frozen store."),
    "check": ("train.commands.check", "Check a config, and its data set's schema, without training."),
    "collisions": (
        "train.commands.collisions",
        "Count ids that share a row of their table, and say how many rows it needs.",
    ),
    "scl": ("train.commands.scl", "Train encoders of items on pairs of a query and what was then bought."),
    "make": ("train.commands.make", "Train MAKE on frozen vectors alone, before a CTR model takes it."),
    "ctr": ("train.commands.ctr", "Train a CTR model."),
    "nearline": ("train.commands.nearline", "Train a CTR run on along a stream, and publish what changes."),
    "evaluate": ("train.commands.evaluate", "Evaluate a run's checkpoint on a split."),
    "predict": ("train.commands.predict", "Write scores by a run, or by an exported model, to parquet."),
    "export": ("train.commands.export", "Export a run's model, to be served elsewhere."),
    "plan": ("train.commands.plan", "Plan where the tables of a run go, without a GPU."),
    "report": ("train.commands.report", "Compare runs: a table and an HTML report with plots."),
    "env": ("train.commands.env", "Print versions and what was found on this machine."),
}


@click.group(cls=LazyCommands, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Train CTR models with frozen multimodal vectors."""


def run(command: click.Command = main, name: str = "python -m train") -> int:
    """Run a command line and return the exit status.

    0    done
    2    bad input; to start again will not help
    75   another rank was lost; start again
    130  ^C
    128 + N  signal N of those that save, and what was trained is saved; start again. 143: SIGTERM
    """
    make_lasting()
    watch_launcher()
    # A store that is gone would print a stack of C++ calls for every heartbeat; to be set before torch is imported.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    rank = rank_prefix()
    with signals_as_interrupt() as ended:
        try:
            return exit_status(command, name, rank)
        except (KeyboardInterrupt, click.Abort):
            if ended.by is not None:
                what = ", as a launcher does when another rank fails" if ended.by == signal.SIGTERM else ""
                print(f"{rank}terminated from outside by {ended.by.name}{what}", file=sys.stderr, flush=True)
                return 128 + ended.by
            print(f"{rank}interrupted", file=sys.stderr, flush=True)
            return 128 + signal.SIGINT


if __name__ == "__main__":
    status = run()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is said; a second ^C would only print Python's own shutdown
    sys.exit(status)
