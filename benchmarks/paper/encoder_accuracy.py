"""Table 2, how well encoders find what belongs to a query: SCL, its ablations, and an encoder that learned nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.markdown import Rows, markdown_table
from benchmarks.paper import published
from benchmarks.paper.figures import of_data
from benchmarks.spread import Mean

MODELS = {
    "scl": (),
    "scl without triplet": ("model.triplet.weight=0",),
    "scl without triplet and MoCo": ("model.triplet.weight=0", "model.bank.rows=0"),
    "untrained": ("train.epochs=0",),
}
TITLES = {"scl": "SCL", "untrained": "random encoder"}
AT = ("acc@1", "acc@5")
MISSING = "not trained yet"


def table(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """One line a model: Acc@1 and Acc@5 on the test split, beside the paper's."""
    lines = []
    for model in MODELS:
        title = TITLES.get(model, model.replace("scl", "SCL"))
        trained = runs.get(model, ())
        paper = published.ACCURACY.get(model)
        means = [Mean.of([row[key] for row in trained]) if trained else None for key in AT]
        cells = []
        for place, value in enumerate(means):
            cells.append(f"{value.mean:.4f} +- {value.deviation:.4f}" if value else MISSING)
            cells.append(f"{paper[place]:.4f}" if paper else "")
        lines.append([title, *cells, str(len(trained))])
    return markdown_table(["encoder", "Acc@1", "paper's", "Acc@5", "paper's", "seeds"], lines)


def document_table(data: str) -> Callable[[Rows], str]:
    """What draws the table of ``data`` from all rows."""

    def draw(rows: Rows) -> str:
        return table(of_data(rows, data))

    return draw
