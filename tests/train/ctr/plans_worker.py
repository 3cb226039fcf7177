"""Trains the jobs of a file, one after another, in one process group; torchrun starts it."""

import json
import sys

from train.ctr.config import load_config
from train.ctr.task import train_ctr
from train.distributed.process_group import process_group


def main() -> None:
    jobs = json.loads(open(sys.argv[1]).read())
    first = load_config(jobs[0]["config"], tuple(jobs[0]["overrides"]))
    with process_group(first.process) as ranks:
        for job in jobs:
            train_ctr(load_config(job["config"], tuple(job["overrides"])), ranks)


if __name__ == "__main__":
    main()
