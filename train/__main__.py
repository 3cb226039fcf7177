"""The command line: python -m train COMMAND. Commands are imported only when they run."""

import importlib
import os
import signal
import sys

import click

from embeddings.errors import DISK_FULL, FIXABLE, InputError, for_terminal, nearest, shown
from embeddings.launched_rank import rank_prefix
from recsys.datasets import DATASETS
from train.distributed.launcher_watch import watch_launcher
from train.distributed.signals import signals_as_interrupt
from train.standard_streams import make_lasting

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
    "evaluate": ("train.commands.evaluate", "Evaluate a run's checkpoint on a split."),
    "predict": ("train.commands.predict", "Write a run's scores to parquet."),
    "export": ("train.commands.export", "Export a run's model, to be served elsewhere."),
    "plan": ("train.commands.plan", "Plan where the tables of a run go, without a GPU."),
    "report": ("train.commands.report", "Compare runs: a table and an HTML report with plots."),
    "env": ("train.commands.env", "Print versions and what was found on this machine."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return importlib.import_module(COMMANDS[name][0]).command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            ctx.fail(f"no command '{args[0]}'{nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
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
            return command.main(prog_name=name, standalone_mode=False) or 0
        except click.UsageError as error:
            error.show()
        except InputError as error:
            print(f"{rank}error: {for_terminal(str(error))}", file=sys.stderr, flush=True)
            return error.status
        except OSError as error:
            if error.errno not in FIXABLE:
                raise
            print(f"{rank}error: {_refused(error)}", file=sys.stderr, flush=True)
        except UnicodeEncodeError as error:
            if error.reason != "surrogates not allowed":
                raise
            wrong = f"{shown(error.object)} is not UTF-8, which names of files and folders must be here"
            print(f"{rank}error: {wrong}; rename it, or call it by another path", file=sys.stderr, flush=True)
        except (KeyboardInterrupt, click.Abort):
            if ended.by is not None:
                what = ", as a launcher does when another rank fails" if ended.by == signal.SIGTERM else ""
                print(f"{rank}terminated from outside by {ended.by.name}{what}", file=sys.stderr, flush=True)
                return 128 + ended.by
            print(f"{rank}interrupted", file=sys.stderr, flush=True)
            return 128 + signal.SIGINT
    return 2


def _refused(error: OSError) -> str:
    """What the system refused, of which file, and what to do."""
    place = f" '{error.filename}'" if error.filename else ""
    step = "free some space" if error.errno in DISK_FULL else "check the place and its permissions"
    return f"{(error.strerror or str(error)).lower()}{place and ':' + place}; {step}, then run again"


if __name__ == "__main__":
    status = run()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is said; a second ^C would only print Python's own shutdown
    sys.exit(status)
