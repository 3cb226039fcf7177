"""The command line, with a reader that gives nothing more after some batches on rank 1."""

import os
import sys
import time

from train import __main__ as cli
from train.data.prefetch import PrefetchThread

if __name__ == "__main__":
    get, calls = PrefetchThread.get, [0]

    def hang(self):
        calls[0] += 1
        if os.environ["RANK"] == "1" and calls[0] > 28:
            time.sleep(600)
        return get(self)

    PrefetchThread.get = hang
    sys.exit(cli.run())
