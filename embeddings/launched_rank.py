"""The rank that a launcher gave this process, for words that one rank says for all; no process group, no imports."""

import os


def launched_rank() -> int | None:
    """RANK ; None where it is not set, or is no number, which ``train.distributed.launcher`` refuses."""
    rank = os.environ.get("RANK", "")
    return int(rank) if rank.isascii() and rank.isdigit() and len(rank) < 10 else None
