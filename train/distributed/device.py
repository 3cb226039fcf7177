"""Which device a rank computes on, and in which dtype."""

import sys

import torch

from embeddings.errors import InputError
from train.config import autocast_on


def choose_device(wanted: str, local_rank: int, local_world_size: int) -> torch.device:
    """The device of this rank; on CUDA it is made the current one.

    Args:
        wanted: auto, cpu or cuda.
        local_rank: among the ``local_world_size`` ranks of this machine.

    Raises InputError where CUDA is asked for and absent, or has fewer devices than this machine has ranks.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise InputError(
            "process.device is cuda, but torch finds no CUDA device; 'python -m train env' says what is there"
        )
    if wanted == "cpu" or not available:
        return torch.device("cpu")
    if local_world_size > (devices := torch.cuda.device_count()):
        shortage = f"{local_world_size} ranks on this machine but {devices} CUDA devices"
        if wanted == "cuda":
            raise InputError(
                f"process.device is cuda with {shortage}; start at most {devices} ranks a machine, -j 1x{devices}"
            )
        if local_rank == 0:
            print(f"{shortage}: training on CPU, which is far slower; -j 1x{devices} uses the devices", file=sys.stderr)
        return torch.device("cpu")
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return device


def autocast_dtype(wanted: str, device: torch.device) -> torch.dtype | None:
    """What ``train.autocast`` computes in on ``device``; None: float32.

    Args:
        wanted: auto, bfloat16 or off; auto is bfloat16 on CUDA alone.
    """
    return torch.bfloat16 if autocast_on(wanted, device.type) == "bfloat16" else None
