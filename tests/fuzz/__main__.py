"""Runs the fuzzer: python -m tests.fuzz --cases 10000 --seed 1; with --format and --case, one case alone."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: a pool of threads would not outlive a fork
os.environ["MPLBACKEND"] = "Agg"

from tests.fuzz.campaign import Campaign, one_case, run_campaign
from tests.fuzz.formats import FORMATS
from tests.fuzz.summary import print_summary


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=10_000, help="of all formats together")
    parser.add_argument("--minutes", type=float, default=60, help="no new case after so many")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--format", action="append", choices=FORMATS, help="this one alone; may be given again")
    parser.add_argument("--case", type=int, help="this number alone, and print what it said")
    parser.add_argument("--keep", type=Path, help="folder that failing cases are copied to")
    given = parser.parse_args()
    names = given.format or list(FORMATS)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        if given.case is not None:
            return one_case(Path(folder), given.seed, names[0], given.case, given.keep)
        campaign = Campaign(given.seed, given.cases, given.minutes, given.workers, names, given.keep)
        return print_summary(run_campaign(campaign, Path(folder)), campaign)


if __name__ == "__main__":
    sys.exit(main())
