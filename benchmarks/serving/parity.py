"""Parity: logits of the trainer and of the exported model on the same rows, by dtype of the ID tables."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import record
from embeddings.errors import InputError
from recsys.features.ragged import Ragged

DTYPES = ("float32", "float16", "int8")
ALLOWED_GAUC_CHANGE = 0.0003
ALLOWED_CHANGE = 1e-5  # of a logit, with tables of float32


def measure(run: str | None, split: str, rows: int, results: Path) -> None:
    """One row a dtype: largest and mean difference of logits, by rows of files and by requests, and GAUC."""
    if run is None:
        raise InputError("--case parity needs --run, a run folder")
    from recsys.exported.model import ExportedModel
    from recsys.exported.versions import Versions
    from recsys.metrics import evaluate_predictions
    from train.ctr.trained_run import open_run, run_config
    from train.distributed.process_group import process_group
    from train.export.export_run import export_run

    config = run_config(run, ())
    with process_group(config.process, Path(tempfile.gettempdir())) as ranks, tempfile.TemporaryDirectory() as folder:
        opened = open_run(config, split, "best", ranks, in_order=True)
        trained = _trained(opened, ranks.device, rows)
        about: dict[str, Any] = {"case": "parity", "run": Path(run).name, "data": Path(config.data.path).name}
        about |= {
            "mode": config.model.run_mode(opened.schema.modalities),
            "split": split,
            "rows": trained["labels"].size,
        }
        for dtype in DTYPES:
            export_run(config, "best", f"{folder}/{dtype}", {}, dtype, 1)
            versions = Versions(f"{folder}/{dtype}")
            model = ExportedModel.open(versions.folder(versions.current()), {})
            of_rows, of_requests = _exported(config.data.path, split, model, trained["labels"].size)
            gauc = {
                name: evaluate_predictions(trained["labels"], logits, trained["users"], None)["overall"]["gauc"]
                for name, logits in (("trainer", trained["logits"]), ("scorer", of_requests))
            }
            row = {
                **about,
                "dtype": dtype,
                "rows_largest": float(np.abs(of_rows - trained["logits"]).max()),
                "requests_largest": float(np.abs(of_requests - trained["logits"]).max()),
                "logit_there": float(trained["logits"][np.abs(of_requests - trained["logits"]).argmax()]),
                "requests_mean": float(np.abs(of_requests - trained["logits"]).mean()),
                "gauc": gauc,
                "gauc_change": gauc["scorer"] - gauc["trainer"],
            }
            record("serving", row, results, _wrong(row))


def _wrong(row: dict[str, Any]) -> str:
    """What is beyond the bounds, if anything is."""
    largest = max(row["rows_largest"], row["requests_largest"])
    if row["dtype"] == "float32" and largest > ALLOWED_CHANGE:
        return f"a logit differs from the trainer's by {largest:.1e}; allowed: {ALLOWED_CHANGE}"
    if abs(row["gauc_change"]) > ALLOWED_GAUC_CHANGE:
        return (
            f"tables of {row['dtype']} change the GAUC of {row['rows']:,} rows by {row['gauc_change']:+.5f}; allowed: "
            f"{ALLOWED_GAUC_CHANGE}; export this run with --dtype float16 or float32"
        )
    return ""


def _trained(opened: Any, device: Any, rows: int) -> dict[str, np.ndarray]:
    from train.ctr.scoring import scored

    parts, count = [], 0
    for batch, logits in scored(opened.model, opened.reader.epoch(0), device):
        parts.append((batch.labels.numpy(), logits.numpy(), batch.users.numpy()))
        count += len(batch)
        if count >= rows:
            break
    return {
        name: np.concatenate(column)[:rows]
        for name, column in zip(("labels", "logits", "users"), zip(*parts, strict=True), strict=True)
    }


def _exported(folder: str, split: str, model: Any, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the first rows, as rows of files, and each as a request of one candidate."""
    from embeddings.files.parquet_batches import read_batches
    from embeddings.files.parquet_footer import read_footers
    from recsys.features.arrow_columns import arrow_values
    from recsys.features.batch_assembly import BatchAssembler
    from recsys.features.columns import needed_fields
    from recsys.features.raw_columns import build_row_block
    from recsys.features.request_rows import RequestAssembler
    from train.data.parquet_files import find_files

    fields = needed_fields(model.schema, with_labels=False)
    names = list(dict.fromkeys(field.column for field in fields))
    to_batch = BatchAssembler(model.schema, model.stores, with_labels=False)
    to_request = RequestAssembler(model.schema, model.stores)
    shared = {f.source for f in model.schema.features if f.kind == "sequence"} | {model.schema.user}
    of_rows: list[np.ndarray] = []
    of_requests: list[np.ndarray] = []
    for file in read_footers(find_files(folder, split)):
        for _, part in read_batches(file, names, 1024):
            columns = {name: arrow_values(name, part[name], file.path, lambda _: 0) for name in names}
            block = build_row_block(model.schema, fields, columns, file.path)
            of_rows.append(model.logits(to_batch(block, slice(0, part.num_rows))[0]).numpy())
            for row in range(min(part.num_rows, rows - len(of_requests))):
                one = {
                    name: column.take(slice(row, row + 1)) if isinstance(column, Ragged) else column[row : row + 1]
                    for name, column in columns.items()
                }
                context = {name: column for name, column in one.items() if name in shared}
                own = {name: column for name, column in one.items() if name not in shared}
                of_requests.append(model.score(to_request(context, own)).numpy())
            if len(of_requests) == rows:
                return np.concatenate(of_rows)[:rows], np.concatenate(of_requests)
    return np.concatenate(of_rows), np.concatenate(of_requests)
