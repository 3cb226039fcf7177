"""Torch's threads of a rank: by its settings, the user's environment, or its share of the cores that there are."""

import os

from embeddings.host_cores import host_cores
from train.config import MOST_THREADS
from train.distributed.launcher import Launcher

_NAMES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def rank_threads(setting: int | None, launched: Launcher) -> int:
    """``process.threads``; else what the user's environment asks for; else this machine's cores over its ranks.

    torchrun sets OMP_NUM_THREADS=1 where nobody did, and so does our component: a 1 below torchrun is not the user's.
    """
    if setting is not None:
        return setting
    for name in _NAMES:
        wanted = os.environ.get(name, "").split(",")[0].strip()  # 4,2: of loops and of loops inside them
        threads = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 10 else 0
        if threads and not (threads == 1 and launched.below_torchrun):
            return min(threads, MOST_THREADS)
    return max(1, int(host_cores() / launched.local_world_size))
