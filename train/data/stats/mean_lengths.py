"""Mean list lengths, from parquet footers: ids a row of each feature, which the planner calls pooling factors."""

from embeddings.files.parquet_footer import read_footers
from recsys.schema import Schema
from train.data.parquet_files import find_files


def mean_lengths(folder: str, split: str, schema: Schema) -> dict[str, float]:
    """Feature -> mean ids a row, at most its max_length; 1 for single ids. Empty lists count as one value."""
    rows = 0
    values: dict[str, int] = {}
    sources = {f.source for f in schema.features}
    for file in read_footers(find_files(folder, split)):
        rows += int(file.group_rows.sum())
        for group in range(len(file.group_rows)):
            for name in sources & file.leaves.keys():
                values[name] = values.get(name, 0) + file.values(group, name)
    mean = {f.name: values.get(f.source, 0) / max(rows, 1) for f in schema.features}
    return {f.name: min(mean[f.name], f.max_length or mean[f.name]) for f in schema.features if f.kind != "dense"}
