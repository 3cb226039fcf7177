"""The command line: python -m serve COMMAND. Commands are imported only when they run."""

import signal
import sys

import click

from embeddings.command_line import LazyCommands, exit_status
from embeddings.standard_streams import make_lasting

# command -> (module, one-line help)
COMMANDS = {
    "score": ("serve.commands.score", "Score requests by an exported model, over HTTP."),
    "encode": ("serve.commands.encode", "Encode new items into a live index, over HTTP and from a folder."),
    "ask": ("serve.commands.ask", "Send a running scorer a few requests, and show its answers."),
    "index": ("serve.commands.index", "Make, fill, read, compact and check a live index of item vectors."),
}


@click.group(cls=LazyCommands, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Serve exported CTR models."""


def run() -> int:
    """Run the command line and return the exit status: 0 done, 2 bad input, 130 ^C."""
    make_lasting()
    try:
        return exit_status(main, "python -m serve")
    except (KeyboardInterrupt, click.Abort):
        print("interrupted", file=sys.stderr, flush=True)
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(run())
