"""What a launcher's environment says of this process, for words on a terminal and in lock files: no group, no imports.

``train.distributed.launcher`` checks all of it; nothing is refused here.
"""

import os


def launched_rank() -> int | None:
    """RANK; None where it is not set, or is no number."""
    rank = os.environ.get("RANK", "")
    return int(rank) if rank.isascii() and rank.isdigit() and len(rank) < 10 else None


def rank_prefix() -> str:
    """``[rank N] ``, with which a line begins that one of several ranks prints; empty where there is no launcher."""
    rank = launched_rank()
    return "" if rank is None else f"[rank {rank}] "


def below_torchrun() -> bool:
    """Whether torchrun started this process, so that its parent is torchrun's."""
    return "TORCHELASTIC_RUN_ID" in os.environ
