"""Memory of a frozen table: the store's memory map, huge pages of this process, a device, or pinned host memory."""

import contextlib
import mmap

import numpy as np
import torch

from embeddings.errors import InputError

_MAPPED, _READ_ONLY = 0x02, 0x08  # flags of cudaHostRegister


def copied(array: np.ndarray, device: torch.device | str, room: int = 0) -> torch.Tensor:
    """A copy of ``array`` on ``device`` with ``room`` unwritten rows behind it.

    On CPU it lies in huge pages where the kernel grants them: reading rows at random then misses fewer entries of the
    page table. The room costs nothing until it is written there. Pages of the store's map that were read for the copy
    are given back.
    """
    source = torch.from_numpy(array)
    shape = (array.shape[0] + room, *array.shape[1:])
    cpu = torch.device(device).type == "cpu"
    whole = _huge(shape, source.dtype) if cpu else torch.empty(shape, dtype=source.dtype, device=device)
    whole[: array.shape[0]].copy_(source)
    _give_back(array)
    return whole


def shared(array: np.ndarray, device: torch.device | str) -> torch.Tensor:
    """The store's map itself: no copy, and the processes of one host share its pages.

    For a CUDA device a read-only map of the same file is registered with it, which pins its pages, and kernels read
    them over the bus. Raises InputError where the driver cannot do that.
    """
    if torch.device(device).type == "cpu":
        return torch.from_numpy(array)
    array = read_only(array)
    status = torch.cuda.cudart().cudaHostRegister(array.ctypes.data, array.nbytes, _MAPPED | _READ_ONLY)
    if int(status) != 0:
        raise InputError(
            f"placement host: the CUDA driver cannot pin the frozen store's memory map (error {int(status)}); "
            "allowed here: placement replicated or row_wise"
        )
    return torch.as_tensor(_OnDevice(array), device=device)


def read_only(array: np.ndarray) -> np.ndarray:
    """What ``array``, a part of a memory map, shows of its file, in a shared map that nobody can write to.

    To pin a private map that may be written to is to write to it: the kernel gives each process pages of its own. Of
    this one all processes pin the pages of the file.
    """
    owner: object = array
    while isinstance(owner, np.ndarray) and not isinstance(_base(owner), mmap.mmap):
        owner = _base(owner)
    assert isinstance(owner, np.memmap) and owner.filename is not None, "not memory-mapped"
    offset = owner.offset + array.ctypes.data - owner.ctypes.data
    return np.asarray(np.memmap(owner.filename, array.dtype, "r", offset, array.shape))


class _OnDevice:
    """Registered host memory, described so that torch takes its address for a device's."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array  # keeps the map open
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, False),  # torch refuses read-only ones; nothing writes
            "version": 3,
        }


def _huge(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    count = int(np.prod(shape))
    if count == 0:
        return torch.empty(shape, dtype=dtype)
    pages = mmap.mmap(-1, count * dtype.itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(AttributeError, OSError):  # not Linux, or a kernel built without: small pages then
        pages.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(pages, dtype=dtype, count=count).view(shape)


def _base(array: np.ndarray) -> object:
    """Whose memory ``array`` shows. numpy declares another array, but it can be a memory map."""
    return array.base


def _give_back(array: np.ndarray) -> None:
    """Unmap what was read of a memory-mapped array; a later read finds it in the page cache or on disk."""
    owner: object = array
    while isinstance(owner, np.ndarray) and _base(owner) is not None:
        owner = _base(owner)
    if isinstance(owner, mmap.mmap):
        owner.madvise(mmap.MADV_DONTNEED)
