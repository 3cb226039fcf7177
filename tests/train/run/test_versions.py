"""Versions of torch, fbgemm and torchrec that do and do not fit together."""

from pathlib import Path

import pytest

from train.run.versions import Cuda, installed, matching_minor, verdict

CPU = {"torch": "2.13.0+cpu", "fbgemm-gpu": None, "fbgemm-gpu-cpu": "1.8.0", "torchrec": "1.8.0"}
GPU = {"torch": "2.13.0", "fbgemm-gpu": "1.8.0", "fbgemm-gpu-cpu": None, "torchrec": "1.8.0"}
NO_CUDA, NO_DEVICE, ONE_DEVICE = Cuda(None, []), Cuda("13.0", []), Cuda("13.0", ["Some GPU"])


@pytest.mark.parametrize(
    ("torch", "expected"),
    [
        ("2.11.0", (1, 6)),
        ("2.12.1", (1, 7)),
        ("2.13.0+cpu", (1, 8)),
        ("2.10.0", None),
        ("2.14.0", None),
        ("3.12.0", None),
        ("main", None),
    ],
)
def test_matching_minor(torch: str, expected: tuple[int, int] | None):
    assert matching_minor(torch) == expected


@pytest.mark.parametrize(
    ("versions", "cuda", "driver"),
    [
        (CPU, NO_CUDA, False),
        (CPU, NO_DEVICE, False),  # the usual torch wheel on a machine without a device
        (GPU, ONE_DEVICE, True),
        ({**GPU, "torch": "2.11.0", "fbgemm-gpu": "1.6.0", "torchrec": "1.6.1"}, ONE_DEVICE, True),
    ],
)
def test_what_fits(versions: dict, cuda: Cuda, driver: bool):
    assert verdict(versions, cuda, driver) == ([], [])


@pytest.mark.parametrize(
    ("change", "cuda", "driver", "words"),
    [
        ({"torchrec": "1.7.0"}, NO_CUDA, False, ["torch 2.13.0+cpu goes with torchrec 1.8, found 1.7.0", "cpu.txt"]),
        ({"fbgemm-gpu-cpu": "1.9.0"}, NO_CUDA, False, ["goes with fbgemm-gpu-cpu 1.8, found 1.9.0"]),
        ({"torch": "2.12.0"}, NO_CUDA, False, ["fbgemm-gpu-cpu 1.7, found 1.8.0", "torchrec 1.7, found 1.8.0"]),
        ({"fbgemm-gpu": "1.8.0"}, NO_CUDA, False, ["both installed"]),
        ({"fbgemm-gpu": "1.8.0", "fbgemm-gpu-cpu": None}, NO_CUDA, False, ["needs a torch built for CUDA", "cpu.txt"]),
        ({}, ONE_DEVICE, True, ["fbgemm-gpu-cpu cannot use the CUDA device", "cuda.txt"]),
        ({"torchrec": None}, NO_CUDA, False, ["torchrec not installed", "cpu.txt"]),
        ({"torch": None, "fbgemm-gpu-cpu": None}, NO_CUDA, True, ["torch, fbgemm not installed", "cuda.txt"]),
        ({}, None, False, ["torch 2.13.0+cpu is installed and cannot be imported"]),
    ],
)
def test_what_does_not_fit(change: dict, cuda: Cuda | None, driver: bool, words: list[str]):
    problems, _ = verdict({**CPU, **change}, cuda, driver)
    assert all(word in "\n".join(problems) for word in words), problems
    assert all("make clean setup" in problem for problem in problems)


def test_unknown_torch_is_said_and_is_no_mismatch():
    problems, notes = verdict({**CPU, "torch": "2.14.0"}, NO_CUDA, driver=False)
    assert not problems
    assert "torch 2.14.0 is not known here" in notes[0]


def test_driver_without_device_is_noted():
    problems, notes = verdict(GPU, NO_DEVICE, driver=True)
    assert not problems
    assert "no CUDA device" in notes[0]


def test_version_is_read_from_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "torchrec-9.8.7.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: torchrec\nVersion: 9.8.7\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert installed("torchrec") == "9.8.7"
    assert installed("no-such-package-at-all") is None
