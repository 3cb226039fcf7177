"""Where arrays live: huge pages asked for, the map given back, room behind the rows."""

import ctypes
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from embeddings.frozen.table_memory import copied, read_only, shared

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
MIB = 1 << 20


@pytest.fixture
def array(tmp_path: Path) -> np.ndarray:
    """8 MiB in a file, memory-mapped as a store's are."""
    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(-99, 99, (8 * MIB // 64, 64), dtype=np.int8))
    return np.asarray(np.load(tmp_path / "a.npy", mmap_mode="c"))


def mapping(address: int) -> dict[str, list[str]]:
    """What /proc says of the mapping that holds ``address``."""
    fields: dict[str, list[str]] = {}
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0]:
            first, last = (int(x, 16) for x in words[0].split("-"))
            inside = first <= address < last
        elif inside:
            fields[words[0].rstrip(":")] = words[1:]
    return fields


@LINUX
def test_a_copy_lies_in_pages_of_its_own_that_were_asked_to_be_huge(array: np.ndarray) -> None:
    copy = copied(array, "cpu", room=3)
    assert copy.shape == (array.shape[0] + 3, 64) and copy.dtype == torch.int8
    assert np.array_equal(copy[:-3].numpy(), array)
    facts = mapping(copy.data_ptr() + 4 * MIB)
    assert "hg" in facts["VmFlags"], "madvise(MADV_HUGEPAGE)"
    assert int(facts["Anonymous"][0]) >= 8 * 1024, "pages of a shared mapping are other ones, and seldom huge"
    copy[-3:] = 7
    assert np.array_equal(copy[:-3].numpy(), array)


@LINUX
def test_what_was_read_of_the_map_is_given_back(array: np.ndarray) -> None:
    array.sum()
    assert int(mapping(array.ctypes.data + 4 * MIB)["Rss"][0]) > 7 * 1024
    copied(array, "cpu")
    assert int(mapping(array.ctypes.data + 4 * MIB)["Rss"][0]) == 0
    assert array.any()


@LINUX
def test_room_costs_nothing_until_it_is_used() -> None:
    copy = copied(np.ones((4, 64), np.float32), "cpu", room=MIB)
    assert int(mapping(copy.data_ptr())["Rss"][0]) < 8 * 1024  # of 256 MiB


@pytest.mark.parametrize("shape", [(0, 4), (0,)])
def test_nothing_can_be_copied_too(shape: tuple[int, ...]) -> None:
    assert copied(np.zeros(shape, np.float16), "cpu").shape == shape


def test_shared_is_the_map_itself(array: np.ndarray) -> None:
    assert shared(array, "cpu").data_ptr() == array.ctypes.data


@LINUX
@pytest.mark.parametrize("part", [slice(None), slice(70_001, 120_000)])
def test_what_a_device_pins_is_shared_and_refuses_writes(array: np.ndarray, part: slice) -> None:
    mapped = read_only(array[part])
    assert mapped.dtype == array.dtype and np.array_equal(mapped, array[part])
    flags = mapping(mapped.ctypes.data)["VmFlags"]
    assert "ms" in flags and "mw" not in flags, "may be shared, may never be written to"
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 1


def pinned(mapped: np.ndarray) -> None:
    """mlock takes pages as a driver that pins them does: of a private map that may be written to, by a write."""
    status = ctypes.CDLL(None, use_errno=True).mlock(
        ctypes.c_void_p(mapped.ctypes.data), ctypes.c_size_t(mapped.nbytes)
    )
    assert status == 0, ctypes.get_errno()


@LINUX
def test_processes_that_pin_it_share_one_copy(array: np.ndarray, tmp_path: Path) -> None:
    quarter = slice(0, 2 * MIB // 64)  # what may be locked is little
    mapped = read_only(array[quarter])
    pinned(mapped)
    code = (
        "import sys, numpy as np\n"
        "from tests.embeddings.frozen.test_table_memory import pinned, read_only\n"
        f"mapped = read_only(np.load({str(tmp_path / 'a.npy')!r}, mmap_mode='c')[:{quarter.stop}])\n"
        "pinned(mapped)\nprint('pinned', flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"pinned\n"
        facts = mapping(mapped.ctypes.data)
        other.communicate(b"")
    assert int(facts["Rss"][0]) >= 2 * 1024
    assert int(facts["Pss"][0]) == pytest.approx(int(facts["Rss"][0]) / 2, rel=0.02), "half for each of two"


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8])
def test_a_device_reads_the_registered_map(tmp_path: Path, dtype: type) -> None:
    np.save(tmp_path / "a.npy", np.arange(1000 * 16).reshape(1000, 16).astype(dtype))
    array = np.asarray(np.load(tmp_path / "a.npy", mmap_mode="c"))
    seen = shared(array, "cuda")
    assert seen.device.type == "cuda" and seen.data_ptr() != array.ctypes.data
    assert np.array_equal(seen[torch.tensor([3, 999], device="cuda")].cpu().numpy(), array[[3, 999]])
