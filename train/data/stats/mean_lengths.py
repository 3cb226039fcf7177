"""Mean list lengths, from parquet footers: ids a row of each feature, which the planner calls pooling factors."""

from recsys.schema import Schema
from train.data.parquet_files import find_files, read_footers


def mean_lengths(folder: str, split: str, schema: Schema) -> dict[str, float]:
    """Feature -> mean ids a row, at most its max_length; 1 for single ids. Empty lists count as one value."""
    rows = 0
    values: dict[str, int] = {}
    for file in read_footers(find_files(folder, split)):
        rows += file.footer.num_rows
        for g in range(file.footer.num_row_groups):
            group = file.footer.row_group(g)
            for c in range(group.num_columns):
                column = group.column(c)
                name = column.path_in_schema.split(".")[0]
                values[name] = values.get(name, 0) + column.num_values
    mean = {f.name: values.get(f.source, 0) / max(rows, 1) for f in schema.features}
    return {f.name: min(mean[f.name], f.max_length or mean[f.name]) for f in schema.features if f.kind != "dense"}
