"""The table of encoders' accuracy."""

from benchmarks.paper.encoder_accuracy import document_table
from tests.benchmarks.table_cells import cells


def row(model: str, seed: int, first: float, **more) -> dict:
    return {"data": "grocery", "model": model, "seed": seed, "acc@1": first, "acc@5": first + 0.2, **more}


def test_the_table_is_means_beside_the_papers_figures():
    rows = [row("scl", 0, 0.5), row("scl", 1, 0.7), row("scl", 1, 0.6), row("untrained", 0, 0.1)]
    rows.append(row("scl", 0, 0.9) | {"data": "other"})
    lines = cells(document_table("grocery")(rows))
    assert lines[2] == ["SCL", "0.5500 +- 0.0707", "0.7474", "0.7500 +- 0.0707", "0.8850", "2"]
    assert lines[3] == ["SCL without triplet", "not trained yet", "0.6957", "not trained yet", "0.8604", "0"]
    assert lines[5] == ["random encoder", "0.1000 +- 0.0000", "", "0.3000 +- 0.0000", "", "1"]
