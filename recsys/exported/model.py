"""An exported model, opened: ID tables and frozen vectors memory-mapped, the architecture in memory, logits out."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from embeddings.errors import InputError, first_line, listed, nearest
from embeddings.frozen.table import FrozenTable
from embeddings.frozen.vector_store import VectorStore
from recsys.batch import Batch
from recsys.exported.consistency import refuse_inconsistent
from recsys.exported.delta import DeltaManifest
from recsys.exported.manifest import DENSE, Manifest, read_manifest
from recsys.exported.merged_deltas import MergedDeltas
from recsys.exported.stores import check_store, open_store
from recsys.exported.table import ExportedTable, Table
from recsys.exported.version_manifest import EXPORT_AGAIN, check_content
from recsys.features.columns import feature_fields
from recsys.features.ragged import Ragged
from recsys.features.request_rows import RequestRows
from recsys.models.arch import Arch
from recsys.models.config import ArchConfig
from recsys.models.registry import arch_class
from recsys.models.sparse import table_configs
from recsys.schema import Feature, Schema, load_schema

_ZERO = torch.zeros(1)


@dataclass(frozen=True)
class _Sequence:
    """Embeddings of a feature, bag after bag."""

    embeddings: torch.Tensor
    bag_lengths: torch.Tensor

    def values(self) -> torch.Tensor:
        return self.embeddings

    def lengths(self) -> torch.Tensor:
        return self.bag_lengths


class ExportedModel:
    """A version, ready to score; ``open`` makes one.

    fields  column -> how features read it
    delta   the last of the version's deltas that it has; None where it has none
    name    the version or, with deltas, 000012+3
    """

    def __init__(
        self,
        manifest: Manifest,
        schema: Schema,
        stores: dict[str, VectorStore],
        tables: Mapping[str, Table],
        arch: Arch,
    ) -> None:
        self.manifest, self.schema, self.stores, self.tables, self.arch = manifest, schema, stores, tables, arch
        self.fields = {field.column: field for field in feature_fields(schema)}
        self._pooled_features = schema.pooled if tables else []  # the schema looks for them anew each time
        self._sequential_features = schema.sequential if tables else []
        self.delta: DeltaManifest | None = None

    @property
    def name(self) -> str:
        return self.delta.name if self.delta else self.manifest.version

    def with_deltas(self, merged: MergedDeltas) -> "ExportedModel":
        """This version with the rows and the dense part of its deltas; this model stays as it is.

        Files of the version and its stores stay mapped as they are. Raises InputError where the dense part is damaged.
        """
        frozen = {name: FrozenTable(store) for name, store in self.stores.items()}
        weights = _weights(merged.dense, self.schema, self.manifest.model, frozen)
        arch = build_arch(self.schema, self.manifest.model, frozen)
        arch.load_state_dict(weights)
        own = {name: table for name, table in self.tables.items() if isinstance(table, ExportedTable)}
        tables = {name: table.with_rows(merged.tables.get(name)) for name, table in own.items()}
        model = copy.copy(self)
        model.tables, model.arch, model.delta = tables, arch.eval(), merged.manifest
        return model

    @classmethod
    def open(cls, folder: Path, stores: Mapping[str, str], *, check: bool = True) -> "ExportedModel":
        """Open the version in ``folder``.

        Args:
            stores: modality -> folder of its frozen store, where it is not where it lay at the export.
            check: compare the digests of all files with the manifest's, which reads them whole, and check the stores.

        Raises InputError where a file is missing, damaged or half-written, and NoStore for a store that is damaged, or
        not the one that the model was trained with.
        """
        manifest = read_manifest(folder)
        check_content(folder, manifest, digests=check)
        for name in stores:
            if name not in manifest.stores:
                known = nearest(name, manifest.stores) or f"; it has {listed(list(manifest.stores)) or 'none'}"
                raise InputError(f"--store {name}: the model uses no modality of that name{known}")
        schema = load_schema(str(folder))
        refuse_inconsistent(folder, manifest, schema)
        opened = {name: open_store(name, entry, stores) for name, entry in manifest.stores.items()}
        if check:
            for name, store in opened.items():
                check_store(name, store)
        tables = {name: ExportedTable(folder, name, entry) for name, entry in manifest.tables.items()}
        frozen = {name: FrozenTable(store) for name, store in opened.items()}
        weights = _weights(folder / DENSE, schema, manifest.model, frozen)
        arch = build_arch(schema, manifest.model, frozen)
        arch.load_state_dict(weights)
        return cls(manifest, schema, opened, tables, arch.eval())

    @torch.inference_mode()
    def score(self, rows: RequestRows) -> torch.Tensor:
        """Logits of the candidates, float32 [N]."""
        pooled, sequences, bag_index = {}, {}, {}
        for feature in self._pooled_features:
            embeddings = self._pooled(feature, rows.ids[feature.name])
            pooled[feature.name] = _of_each(embeddings, rows, feature)
        for feature in self._sequential_features:
            bags, embeddings = rows.ids[feature.name], self._looked_up(feature, rows.ids[feature.name])
            if feature.kind == "id":
                embeddings = _of_each(embeddings, rows, feature)
            elif feature.name in rows.shared:
                bag_index[feature.name] = rows.bag_index
            sequences[feature.name] = _Sequence(embeddings, torch.from_numpy(bags.lengths))
        unread, ids = _ZERO.expand(rows.candidates), rows.bag_index
        batch = Batch(unread, rows.dense, None, None, rows.frozen, ids, ids, {}, bag_index=bag_index)
        return self.arch(pooled or None, sequences or None, batch)

    @torch.inference_mode()
    def logits(self, batch: Batch) -> torch.Tensor:
        """Logits of a batch of rows, float32 [B]."""
        pooled, sequences = {}, {}
        for feature in self._pooled_features:
            pooled[feature.name] = self._pooled(feature, _bags(batch.pooled, feature))
        for feature in self._sequential_features:
            bags = _bags(batch.sequence, feature)
            sequences[feature.name] = _Sequence(self._looked_up(feature, bags), torch.from_numpy(bags.lengths))
        return self.arch(pooled or None, sequences or None, replace(batch, pooled=None, sequence=None))

    def _looked_up(self, feature: Feature, bags: Ragged) -> torch.Tensor:
        """[T, D]"""
        assert feature.table is not None
        return self.tables[feature.table].embeddings(bags.values)

    def _pooled(self, feature: Feature, bags: Ragged) -> torch.Tensor:
        """[bags, D]: sums, or means where the schema wants them."""
        embeddings = self._looked_up(feature, bags)
        if feature.kind == "id":
            return embeddings
        lengths = bags.lengths
        known = np.flatnonzero(lengths)
        sums = np.zeros((len(bags), embeddings.shape[1]), np.float32)
        if known.size:
            sums[known] = np.add.reduceat(embeddings.numpy(), bags.offsets[known], axis=0)
        if feature.pooling == "mean":
            sums /= np.maximum(lengths, 1).astype(np.float32)[:, None]
        return torch.from_numpy(sums)


def build_arch(schema: Schema, model: ArchConfig, frozen: Mapping[str, FrozenTable]) -> Arch:
    """The architecture of an exported model, its parameters not yet filled.

    Args:
        frozen: modality -> table, of the modalities that the model uses.
    """
    tables = table_configs(schema, model.embedding_dim, {}) if model.has_tables else []
    return arch_class(model.arch)(schema, model, tables, frozen)


def _of_each(embeddings: torch.Tensor, rows: RequestRows, feature: Feature) -> torch.Tensor:
    """[N, D], of [U, D] where the candidates of a request share one."""
    if feature.name not in rows.shared:
        return embeddings
    if rows.contexts == 1:
        return embeddings.expand(rows.candidates, -1)
    return embeddings.index_select(0, rows.bag_index)


def _bags(ids: KeyedJaggedTensor | None, feature: Feature) -> Ragged:
    assert ids is not None
    jagged = ids[feature.name]
    return Ragged(jagged.values().numpy(), jagged.offsets().numpy().astype(np.int64))


def _weights(
    path: Path, schema: Schema, model: ArchConfig, frozen: Mapping[str, FrozenTable]
) -> dict[str, torch.Tensor]:
    """The parameters in ``path``. Raises InputError where they are not finite, or others than the architecture's."""
    with torch.device("meta"):  # takes no memory before the file gives reason for it
        parameters = build_arch(schema, model, frozen).state_dict()
    wanted = {name: (value.size(), value.dtype) for name, value in parameters.items()}
    try:
        weights = load(path.read_bytes())
        got = {name: (value.size(), value.dtype) for name, value in weights.items()}
        if got != wanted:
            differing = sorted(name for name in got.keys() | wanted.keys() if got.get(name) != wanted.get(name))
            raise InputError(f"it holds other parameters than the architecture's: {listed(differing)}")
        if wrong := [name for name, value in weights.items() if not value.isfinite().all()]:
            raise InputError(f"parameters are not finite: {listed(wrong)}")
    except (OSError, SafetensorError, InputError) as error:
        raise InputError(f"'{path}' cannot be read ({first_line(error)}); {EXPORT_AGAIN}") from None
    return weights
