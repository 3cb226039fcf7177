"""python -m embeddings.plan: the planner's command, which lives in train.commands.plan, as a run's config does."""

import sys

if __name__ == "__main__":
    from train.__main__ import run
    from train.commands.plan import command

    sys.exit(run(command, "python -m embeddings.plan"))
