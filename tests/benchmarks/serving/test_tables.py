"""Tables of the scorer: newest rows, ratios of models alone; what failed and what memory was."""

from benchmarks.serving.tables import faults, memory, parity, soak, speed, stacks, swap

FIGURES = {"requests_per_s": 10.0, "half_p50_ms": 2.0, "half_p99_ms": 3.0}
FIGURES |= {"random_p50_ms": 2.5, "random_p99_ms": 6.0}
SPEED = {"case": "speed", "candidates": 1000, "length": 50, "processes": 2}


def test_speed():
    old = {**SPEED, "contenders": {"ours": FIGURES}, "ours_over": {}}
    peers = {"eager": {**FIGURES, "requests_per_s": 4.0}, "noop": {**FIGURES, "requests_per_s": 5000.0}}
    peers["parsed"] = {**FIGURES, "requests_per_s": 200.0}
    new = {**SPEED, "contenders": {"ours": {**FIGURES, "requests_per_s": 20.0}, **peers}}
    new["ours_over"] = {"eager": 5.0, "noop": 0.0}
    (line,) = speed([old, new]).splitlines()[2:]
    assert (
        line
        == "| 1,000 | 50 | 20 | 2.0, 3.0 | 2.5, 6.0 |  | 4.0 (5.0x) |  |  |  |  |  | 200.0 | 5,000.0 | 0.4% | 9.6% |"
    )
    (line,) = speed([old]).splitlines()[2:]
    assert line.endswith("|  |  |  |")


def test_parity():
    row = {"case": "parity", "data": "shop", "split": "test", "dtype": "int8", "rows": 100, "rows_largest": 1e-3}
    row |= {"requests_largest": 2.04e-3, "gauc_change": -1e-5}
    (line,) = parity([row, {**SPEED, "contenders": {}}]).splitlines()[2:]
    assert line == "| shop | 100 | int8 | 1.0e-03 | 2.0e-03 | -0.00001 |"


def test_swap():
    row = {"case": "swap", "processes": 2, "swaps": 3, "requests": 1000, "failed": 1, "asked": 10, "asked_failed": 2}
    row |= {"mixed": 0, "rate": 90.0, "taken_s": [1.0, 3.0, 2.0]}
    row |= {"calm": {"p50_ms": 5.0, "p99_ms": 9.0}, "during": {"p50_ms": 6.0, "p99_ms": 40.0}}
    (line,) = swap([row]).splitlines()[2:]
    assert line == "| 3 | 1,010 | 3 | 0 | 90 | 5.0, 9.0 | 6.0, 40.0 | 2.0, 3.0 |"


def test_memory():
    row = {"case": "memory", "processes": 2, "tables_and_vectors_bytes": 100 << 20, "mapped_bytes": 99 << 20}
    row |= {"anonymous_bytes": 600 << 20, "pss_bytes": 800 << 20, "supervisor_bytes": 30 << 20, "first_answer_s": 2.51}
    (line,) = memory([row]).splitlines()[2:]
    assert line == "| 2 | 100 MiB | 99 MiB | 300 MiB | 30 MiB | 800 MiB | 2.5 |"


def test_faults():
    row = {"case": "faults", "fault": "a worker is killed", "processes": 2, "times": 2, "requests": 500, "failed": 3}
    (line,) = faults([{**row, "connections": 32, "back_s": [3.0, 4.5]}]).splitlines()[2:]
    assert line == "| a worker is killed | 2 | 500 | 3 | 32 | 3.0, 4.5 |  |"


def test_soak():
    row = {"case": "soak", "minutes": 20.0, "processes": 2, "swaps": 39, "requests": 900, "asked": 100, "failed": 0}
    row |= {"asked_failed": 0, "wrong": 50, "wrong_served": 1, "anonymous_bytes": [1 << 20, 2 << 20, 3 << 20]}
    (line,) = soak([row]).splitlines()[2:]
    assert line == "| 20 | 39 | 1,000 | 0 | 50 | 1 | 1 MiB | 2 MiB | 3 MiB |"


def test_stacks():
    found = {"nothing": {"requests_per_s": 20000, "cpu_us": 30.4}, "json": {"requests_per_s": 4000, "cpu_us": 190.0}}
    (line,) = stacks(
        [{"case": "stacks", "stacks": {"old": found}}, {"case": "stacks", "stacks": {"new": found}}]
    ).splitlines()[2:]
    assert line == "| new | 20,000 | 30 | 4,000 | 190 |"
