"""Tables of training speed and of where a step's time goes."""

import json

from benchmarks.training.tables import profile, throughput
from tests.benchmarks.table_cells import cells

STEP = {
    "data": "shop",
    "mode": "none",
    "batch_size": 1024,
    "shapes": {"ranks": 2},
    "contenders": {
        "ours": {"median": 60_000.0, "ranks": 2},
        "pytorch_jagged": {"median": 50_000.0, "threads": 2, "variant": "jagged-dense"},
    },
    "ratios": {"pytorch_jagged": 1.2},
}


def test_throughput_shows_the_newest_row_of_each_contender():
    old = {**STEP, "contenders": {"ours": {"median": 1.0, "ranks": 2}}}
    earlier = json.loads(json.dumps(STEP).replace("pytorch_jagged", "twin_jagged"))  # as its row was named
    lines = cells(throughput([old, STEP]))[2:]
    assert lines == cells(throughput([old, earlier]))[2:]
    assert lines[0][2:] == ["2,048", "tierwise", "2 ranks", "60,000", ""]
    assert lines[1][3:] == ["plain PyTorch with our attention", "2 threads, jagged-dense", "50,000", "1.20x"]


def test_profile_is_shares_of_a_step():
    row = {"data": "shop", "mode": "none", "batch_size": 1, "step_ms": 12.34, "shares": {"input": 0.256, "wait": 0.744}}
    assert cells(profile([row]))[2] == ["shop", "ID", "12.3", "26 %", "74 %"]
