"""Tables of the scorer: newest rows, ratios of models alone."""

from benchmarks.serving.tables import parity, speed

FIGURES = {"requests_per_s": 10.0, "half_p50_ms": 2.0, "half_p99_ms": 3.0}
SPEED = {"case": "speed", "candidates": 1000, "length": 50, "processes": 2}


def test_speed():
    old = {**SPEED, "contenders": {"ours": FIGURES}, "ours_over": {}}
    peers = {"eager": {**FIGURES, "requests_per_s": 4.0}, "noop": {**FIGURES, "requests_per_s": 5000.0}}
    new = {**SPEED, "contenders": {"ours": {**FIGURES, "requests_per_s": 20.0}, **peers}}
    new["ours_over"] = {"eager": 5.0, "noop": 0.0}
    (line,) = speed([old, new]).splitlines()[2:]
    assert line == "| 1,000 | 50 | 20 | 2.0 | 3.0 | 4.0 (5.0x) |  |  | 5,000.0 |"


def test_parity():
    row = {"case": "parity", "data": "shop", "split": "test", "dtype": "int8", "rows": 100, "rows_largest": 1e-3}
    row |= {"requests_largest": 2.04e-3, "gauc_change": -1e-5}
    (line,) = parity([row, {**SPEED, "contenders": {}}]).splitlines()[2:]
    assert line == "| shop | 100 | int8 | 1.0e-03 | 2.0e-03 | -0.00001 |"
