"""Memory of a process, and children under a limit."""

import json

import pytest

from benchmarks.process_memory import limit_data, measure_in_child, status_bytes
from embeddings.errors import InputError

MODULE = "tests.benchmarks.test_process_memory"


def child(take_mib: str) -> None:
    """What a child does here: takes so many MiB under a limit of 64 MiB."""
    held = limit_data(64 << 20)
    block = bytearray(int(take_mib) << 20)
    print("other words")
    print(json.dumps({"grown": status_bytes("VmData") - held, "taken": len(block)}))


def test_a_child_reports_its_last_line_as_json():
    row = measure_in_child(MODULE, "32", failure="taking failed")
    assert row["taken"] == 32 << 20 and 31 << 20 < row["grown"] < 64 << 20, "some of it was the heap's already"


def test_a_child_beyond_the_limit_fails_with_its_last_words():
    with pytest.raises(InputError, match=r"^taking failed: MemoryError"):
        measure_in_child(MODULE, "65", failure="taking failed")


def test_status_bytes():
    assert status_bytes("VmHWM") >= status_bytes("RssAnon") > 1 << 20
