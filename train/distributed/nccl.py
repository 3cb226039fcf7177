"""NCCL's timeout and flight recorder: later than gloo's timeout, which names the rank that hangs."""

import contextlib
import datetime
import os
from pathlib import Path

import torch
import torch.distributed as dist

_LATER_S = 60  # than gloo's limit: time for the words of the ranks that wait there
_RECORDED = 2000  # exchanges a rank


def record_exchanges(folder: Path | None) -> None:
    """Have NCCL write each rank's last exchanges to ``folder/rank_N`` once one of them is not answered in time.

    To be called before the process group is there. What the environment says already stays.

    Args:
        folder: None: torch's own place, /tmp/comm_lib_trace_rank_N.
    """
    os.environ.setdefault("TORCH_FR_BUFFER_SIZE", str(_RECORDED))
    os.environ.setdefault("TORCH_NCCL_DUMP_ON_TIMEOUT", "1")
    if folder:
        os.environ.setdefault("TORCH_FR_DUMP_TEMP_FILE", str(folder / "rank_"))
        with contextlib.suppress(OSError):  # what is wrong with the run's folder is said where that is claimed
            folder.mkdir(parents=True, exist_ok=True)


def watch_later(group: dist.ProcessGroup, timeout_s: int) -> None:
    """Give NCCL in ``group`` longer than gloo's ``timeout_s``: it ends the process, and would cut our words short."""
    backend = group._get_backend(torch.device("cuda"))
    backend._set_default_timeout(datetime.timedelta(seconds=timeout_s + _LATER_S))
