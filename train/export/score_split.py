"""Opens an exported model with a split of a data folder, to score that split by it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from recsys.batch import Batch
from recsys.exported.model import ExportedModel
from recsys.exported.versions import Versions
from train.ctr.build import build_reader
from train.ctr.config import Config, DataConfig
from train.ctr.trained_schema import schema_located
from train.data.parquet_files import find_files
from train.data.reader import RowReader
from train.distributed.ranks import Ranks, on_all


@dataclass(frozen=True)
class ExportedSplit:
    """An exported model, and this rank's reader of a split."""

    model: ExportedModel
    reader: RowReader

    def scored(self) -> Iterator[tuple[Batch, torch.Tensor]]:
        """Each batch, in the files' order, with its logits [B]; the caller leaves out ``repeated`` rows."""
        for batch in self.reader.epoch(0):
            yield batch, self.model.logits(batch)


def open_split(
    model: str, version: str | None, data: str, split: str, stores: Mapping[str, str], ranks: Ranks, with_labels: bool
) -> ExportedSplit:
    """Open the exported model in folder ``model`` and a split of folder ``data``. All ranks call it.

    Args:
        version: of the model; None: the current one.
        stores: modality -> folder of its frozen store, where it is not where it lay at the export.

    Raises InputError where there is no such version or split, one is damaged, or the data folder's schema means
    something else than the model's.
    """
    find_files(data, split)  # a wrong name is told before the model's files are read
    versions = Versions(model)
    folder = versions.folder(versions.named(version))
    opened: list[ExportedModel] = []
    on_all(ranks, lambda: opened.append(ExportedModel.open(folder, stores, check=ranks.first)))
    (exported,) = opened
    schema = schema_located(exported.schema, data, split, exported.stores, ranks)
    config = Config(data=DataConfig(path=data))
    reader = build_reader(
        config, schema, exported.stores, ranks, split, training=False, with_labels=with_labels, in_order=True
    )
    return ExportedSplit(exported, reader)
