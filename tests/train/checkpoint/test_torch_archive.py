"""Files of torch.save, read as torch reads them, without unpickling; damaged and harmful ones."""

import io
import zipfile

import pytest
import torch

from tests.train.checkpoint.earlier import harmful
from train.checkpoint.torch_archive import read_tensor, read_tensors


def saved(value: object) -> bytes:
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


def changed(data: bytes, **members: bytes) -> bytes:
    """The archive with other contents of members, ``data_pkl`` for data.pkl; compressed where a name ends so."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            key = info.filename.partition("/")[2].replace(".", "_").replace("/", "_")
            new.writestr(info.filename, members.get(key, old.read(info)))
    return out.getvalue()


TENSORS = [
    *(torch.arange(12).view(3, 4).to(dtype) for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)),
    *(torch.arange(5).to(dtype) for dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)),
    torch.tensor([True, False]),
    torch.arange(12.0).view(3, 4).t(),
    torch.arange(24.0).view(1, 2, 3, 4).to(memory_format=torch.channels_last),
    torch.arange(12.0)[3:7],
    torch.zeros(0, 3),
    torch.tensor(5.0),
    torch.nn.Parameter(torch.ones(2)),
]


@pytest.mark.parametrize("tensor", TENSORS, ids=lambda t: f"{t.dtype}-{list(t.size())}-{t.is_contiguous()}")
def test_tensors_are_what_torch_reads(tensor):
    read = read_tensor(saved(tensor))
    assert read.equal(tensor) and read.dtype == tensor.dtype and read.size() == tensor.size()
    assert read_tensors(saved({"a": tensor, "b": torch.ones(2)})).keys() == {"a", "b"}


def test_without_checksums_of_the_zip_file_too():
    torch.serialization.set_crc32_options(False)
    try:
        data = saved(torch.arange(7.0))
    finally:
        torch.serialization.set_crc32_options(True)
    assert read_tensor(data).tolist() == list(range(7))


def test_a_harmful_pickle_in_it_is_not_run(tmp_path):
    data = changed(saved(torch.ones(2)), data_pkl=harmful(tmp_path / "mark"))
    for read in (read_tensor, read_tensors):
        with pytest.raises(ValueError, match="it holds"):
            read(data)
    assert not (tmp_path / "mark").exists()


def described(size: str, stride: str, offset: str = "K\x00", count: str = "K\x02", kind: str = "FloatStorage") -> bytes:
    """data.pkl of one tensor, by the instructions of its numbers."""
    storage = f"(X\x07\x00\x00\x00storagectorch\n{kind}\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu{count}tQ"
    text = f"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n({storage}{offset}{size}{stride}\x89Ntr."
    return text.replace("tr.", "tR.").encode("latin1")


def test_the_description_of_the_tests_is_read():
    data = changed(saved(torch.tensor([1.0, 2.0])), data_pkl=described("K\x02\x85", "K\x01\x85"))
    assert read_tensor(data).tolist() == [1, 2]


@pytest.mark.parametrize(
    "pickled",
    [
        described("K\x03\x85", "K\x01\x85"),  # more than its memory
        described("J\xff\xff\xff\x7f\x85", "K\x00\x85"),  # a number that stands for two thousand million
        described("J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", "K\x00K\x00\x86"),
        described("J\xff\xff\xff\xff\x85", "K\x01\x85"),  # -1
        described("K\x02\x85", "J\xff\xff\xff\xff\x85"),
        described("K\x02\x85", "K\x02\x85"),  # beyond the end
        described("K\x01\x85", "K\x01\x85", offset="K\x02"),
        described("K\x02\x85", "K\x01K\x01\x86"),
        described("K\x02\x85", "K\x01\x85", count="K\x03"),
        described("K\x02\x85", "K\x01\x85", count="J\xff\xff\xff\x7f"),
        described("K\x02\x85", "K\x01\x85", kind="NoStorage"),
        described("N", "N"),
        described("X\x01\x00\x00\x00a\x85", "K\x01\x85"),
        b"\x80\x02K\x01.",
        b"",
    ],
)
def test_what_does_not_fit_its_memory_is_refused(pickled):
    with pytest.raises(ValueError):
        read_tensor(changed(saved(torch.tensor([1.0, 2.0])), data_pkl=pickled))


def test_names_of_one_memory_do_not_multiply_it():
    shared = torch.zeros(100_000)
    data = saved({str(n): shared for n in range(1000)})
    assert len(data) < 600_000
    with pytest.raises(ValueError, match="share their memory"):
        read_tensors(data)


def test_what_is_compressed_or_cut_is_refused():
    whole = saved(torch.zeros(1 << 16))
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    with pytest.raises(ValueError, match="no plain"):
        read_tensor(out.getvalue())
    for end in (0, 10, 1000, len(whole) // 2, len(whole) - 1):
        with pytest.raises(ValueError):
            read_tensor(whole[:end])
    with pytest.raises(ValueError, match="another byte order"):
        read_tensor(changed(whole, byteorder=b"big"))
    for value in (7, {"a": 1}, [torch.ones(1)], {1: torch.ones(1)}):
        with pytest.raises(ValueError):
            read_tensors(saved(value))
