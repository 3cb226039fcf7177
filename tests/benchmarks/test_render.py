"""The README's tables come from rows, and only from rows."""

import pytest

from benchmarks.render import render, rewrite
from embeddings.errors import InputError

STEP = {
    "data": "shop",
    "mode": "none",
    "batch_size": 1024,
    "shapes": {"ranks": 2},
    "contenders": {
        "ours": {"median": 60_000.0, "ranks": 2},
        "twin_jagged": {"median": 50_000.0, "threads": 2, "variant": "jagged-dense"},
    },
    "ratios": {"twin_jagged": 1.2},
}


def drawn(name: str, rows: list) -> list[list[str]]:
    text = render(f"a\n<!-- table: {name} -->\nstale\n<!-- end -->\nb", lambda source: rows)
    assert text.startswith("a\n<!-- table") and text.endswith("<!-- end -->\nb") and "stale" not in text
    assert render(text, lambda source: rows) == text
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_throughput_shows_the_newest_row_of_each_contender():
    old = {**STEP, "contenders": {"ours": {"median": 1.0, "ranks": 2}}}
    lines = drawn("throughput", [old, STEP])[2:]
    assert lines[0][2:] == ["2,048", "tierwise", "2 ranks", "60,000", ""]
    assert lines[1][3:] == ["plain PyTorch with our attention", "2 threads, jagged-dense", "50,000", "1.20x"]


def test_profile_and_memory():
    row = {"data": "shop", "mode": "none", "batch_size": 1, "step_ms": 12.34, "shares": {"input": 0.256, "wait": 0.744}}
    assert drawn("profile", [row])[2] == ["shop", "ID", "12.3", "26 %", "74 %"]
    sizes = {"rows": 10**6, "disk_bytes": 50 << 20, "decoded_bytes": 400 << 20, "limit_bytes": 5 << 20}
    assert drawn("memory", [{**sizes, "peak_bytes": 4 << 20, "slope_bytes_per_mrow": 1 << 19}])[2] == [
        "1,000,000", "50 MiB", "400 MiB", "5 MiB", "4 MiB", "+0.50 MiB",
    ]  # fmt: skip


def test_cosines_beside_the_counts_are_compared_with_one_pass():
    times = {"ours": 2000.0, "two passes": 3800.0, "gathered": 30_000.0, "SimTier alone": 1900.0}
    row = {"case": "sa_ta", "length": 200, "dtype": "int8", "allocator": "kept"}
    stale = {**row, "contenders": {name: {"median_us": 1.0} for name in times}}
    other = {"case": "shared", "allocator": "kept", "dtype": "int8", "contenders": {}}
    now = {**row, "contenders": {name: {"median_us": t} for name, t in times.items()}}
    assert drawn("sa_ta", [stale, other, now])[2:] == [
        ["int8", "L = 200", "kept", "1.90 (0.95x)", "2.00", "3.80 (1.9x)", "30.00 (15x)"]
    ]


def test_conversion():
    row = {"rows": 3000, "seconds": 1.5, "shapes": {"vectors": 70_000}, "limit_bytes": 9 << 20, "peak_bytes": 8 << 20}
    assert drawn("conversion", [{**row, "disk_bytes": 99 << 20}])[2] == [
        "3,000", "70,000", "99 MiB", "9 MiB", "8 MiB", "2,000",
    ]  # fmt: skip


def test_the_peer_is_one_line_a_data_set_and_kind_of_input():
    def row(seed: int, gauc: float, vectors: str | None = "text", data: str = "/there/microlens") -> dict:
        test = {"gauc": gauc, "auc": gauc + 0.02}
        return {"data": data, "vectors": vectors, "settings": {"seed": seed}, "test": test, "best_epoch": 2 + seed}

    rows = [row(1, 0.9), row(0, 0.70), row(1, 0.74), row(0, 0.6, None), row(0, 0.5, data="data/shop")]
    ids, both, other = drawn("peer", rows)[2:]
    assert both == ["microlens", "ids and frozen vectors", "0.7200 +- 0.0283", "0.7400 +- 0.0283", "0.7000 to 0.7400",
                    "2, 3", "2"]  # fmt: skip
    assert ids[1:3] == ["ids", "0.6000"] and other[0] == "shop"


def test_readmes_table_of_microlens_is_brief():
    row = {"data": "microlens", "model": "none", "seed": 0, "gauc": 0.6, "auc": 0.7}
    text = render("<!-- table: microlens -->\n<!-- end -->", lambda source: [row])
    assert "| ID | 0.6000 | 0.7000 |" in text
    assert "svg" not in text, "a picture's path is one from docs"
    assert "Vector" not in text, "not trained"


def test_no_rows_and_unknown_tables():
    assert "Not measured yet" in render("<!-- table: memory -->\n<!-- end -->", lambda source: [])
    with pytest.raises(InputError, match="table 'memry' is unknown; did you mean 'memory'"):
        render("<!-- table: memry -->\n<!-- end -->", lambda source: [])


def test_the_pages_are_what_their_rows_say():
    assert rewrite(check=True) == [], "stale; run python -m benchmarks.render"


def test_frozen_tables_are_held_against_fetching():
    contenders = {
        "fetch": {"median": 80.0, "bytes": 40_000_000},
        "ours int8, SimTier": {"median": 8.0, "bytes": 400_000},
    }
    row = {
        "case": "row_wise",
        "ranks": 2,
        "contenders": contenders,
        "bytes_of_peer": {"fetch": 1.0, "ours int8, SimTier": 0.01},
        "time_of_peer": {"fetch": 1.0, "ours int8, SimTier": 0.1},
    }
    held = {"map": {"proportional_bytes": 10 << 20}, "grown_proportional_bytes": 12 << 20, "step_ms": 3.0}
    host = {
        "case": "host",
        "rows": 2000,
        "width": 8,
        "dtype": "int8",
        "table_bytes": 20 << 20,
        "held": {"host": [held] * 2},
    }
    lines = drawn("over_ranks", [host, {**row, "contenders": {}}, row])[2:]
    assert lines == [
        ["2", "TorchRec fetches the vectors", "40.00 MB", "1/1", "80.0 ms", "1.00x"],
        ["2", "row_wise int8, SimTier", "0.40 MB", "1/100", "8.0 ms", "0.10x"],
    ]
    assert drawn("placements", [row, host])[2] == [
        "host", "2,000 x 8 int8, 20 MiB", "2", "20 MiB", "24 MiB", "3.0 ms",
    ]  # fmt: skip


def test_the_planners_newest_row_is_drawn():
    case = {"case": "a table", "types": ["row_wise"], "planned_bytes": [2**20, 2**21], "peak_bytes": [2**20, 2**20],
            "error": [0.0, 1.0]}  # fmt: skip
    rows = [{"kind": "memory", "cases": []}, {"kind": "memory", "cases": [case]}]
    _, _, line = drawn("planner_memory", rows)
    assert line == ["a table", "row_wise", "1 MiB, 2 MiB", "1 MiB, 1 MiB", "+0.0 %, +100.0 %"]
    family = {"family": "ids", "plans": ["a", "b"], "planned_ms": [1.2, 2.6], "measured_ms": [3.0, 4.0], "pairs": 1,
              "right": 1}  # fmt: skip
    rows.append({"kind": "speed", "families": [family], "pairs": 4, "right": 3, "share": 0.75})
    _, _, line, last = drawn("planner_speed", rows)
    assert line == ["ids", "a 1 / 3; b 3 / 4", "1 of 1"] and last == ["all", "", "3 of 4, 75 %"]
