"""PyTorch baseline: the CTR model in plain PyTorch, in one process without TorchRec, and its training speed.

It is the peer whose speed ours must reach, and is given what a user would have to pay for: all rows lie in memory,
decoded, mapped to table rows and padded, before the clock starts. The maths is that of ``recsys.models.ctr``; a test
holds the logits of both together.
"""

import itertools
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.kernels.peers import tier_of
from embeddings.frozen.table import FrozenTable
from embeddings.kernels.simtier.op import simtier
from recsys.batch import Batch, FrozenRows
from recsys.features.frozen_stores import open_stores
from recsys.models.din_config import DINConfig
from recsys.models.interaction import OverArch
from recsys.models.target_attention import TargetAttention
from recsys.schema import Schema
from train.ctr.config import Config
from train.data.reader import RowReader

LAYOUTS = ("padded", "jagged")
TABLES = ("sparse", "dense")


@dataclass
class PaddedRows:
    """Impressions as padded tensors, of a whole split or of one batch.

    labels   [R]
    dense    [R, F]
    ids      feature -> [R] or, for bags and sequences, [R, L] table rows, the padding one past the table's last
    lengths  sequence -> [R]
    target   modality -> [R] rows of the frozen table
    history  modality -> [R, L]; -1 where there is no vector, and in the padding
    """

    labels: torch.Tensor
    dense: torch.Tensor
    ids: dict[str, torch.Tensor]
    lengths: dict[str, torch.Tensor]
    target: dict[str, torch.Tensor]
    history: dict[str, torch.Tensor]

    @classmethod
    def of(cls, schema: Schema, batch: Batch) -> "PaddedRows":
        ids, lengths = {}, {}
        jagged = {k: v for kjt in (batch.pooled, batch.sequence) if kjt is not None for k, v in kjt.to_dict().items()}
        for f in (*schema.pooled, *schema.sequential):
            values = jagged[f.name]
            padding = schema.table_of(f).num_embeddings
            ids[f.name] = values.values() if f.kind == "id" else _padded(values.values(), values.lengths(), padding)
            lengths[f.name] = values.lengths()
        history = {m: _per_impression(r, _padded(r.history, r.offsets.diff(), -1)) for m, r in batch.frozen.items()}
        return cls(batch.labels, batch.dense, ids, lengths, {m: r.target for m, r in batch.frozen.items()}, history)

    @classmethod
    def read(cls, schema: Schema, stores: dict, folder: str, split: str) -> "PaddedRows":
        """A whole split in memory."""
        reader = RowReader(folder, split, schema, stores, batch_size=1 << 30)
        return cls.of(schema, next(reader.epoch(0)))

    def take(self, chosen: torch.Tensor) -> "PaddedRows":
        """The rows numbered ``chosen``."""
        parts = [{k: v[chosen] for k, v in d.items()} for d in (self.ids, self.lengths, self.target, self.history)]
        return PaddedRows(self.labels[chosen], self.dense[chosen], *parts)

    def batches(self, batch_size: int) -> Iterator["PaddedRows"]:
        """Whole batches of shuffled epochs, without end."""
        while True:
            order = torch.randperm(self.labels.numel())
            for chosen in order.split(batch_size)[: max(1, len(order) // batch_size)]:
                yield self.take(chosen)


def _padded(values: torch.Tensor, lengths: torch.Tensor, padding: int) -> torch.Tensor:
    """[T] values, bag after bag, as [B, L] with the padding at the end."""
    out = values.new_full((lengths.numel(), max(1, int(lengths.max()))), padding)
    out[_mask(lengths, out.shape[1])] = values
    return out


def _per_impression(rows: FrozenRows, bags: torch.Tensor) -> torch.Tensor:
    """[U, L] bags as each impression's own [B, L]."""
    return bags if rows.bag_index is None else bags.index_select(0, rows.bag_index)


def _mask(lengths: torch.Tensor, width: int) -> torch.Tensor:
    return torch.arange(width) < lengths.unsqueeze(1)


class PaddedAttention(TargetAttention):
    """The same parameters and formula over [B, L, D] with a mask."""

    def forward(
        self,
        target: torch.Tensor,
        behaviours: torch.Tensor,
        lengths: torch.Tensor,
        cosines: torch.Tensor | None = None,
        bag_index: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """target [B, D], behaviours [B, L, D], lengths [B]: [B, D]. The baseline has no SA-TA and shares no bags."""
        assert cosines is None and bag_index is None
        pairs = torch.cat([behaviours, behaviours * target.unsqueeze(1)], dim=2)
        weights = self.score(self.pair(pairs) + self.query(target).unsqueeze(1))
        mask = _mask(lengths, behaviours.shape[1]).unsqueeze(2)
        return (weights.masked_fill(~mask, 0.0) * behaviours).sum(1)


class PyTorchBaseline(nn.Module):
    """The CTR model in plain PyTorch, modes none and simtier, with the parameters of recsys.models.ctr.

    Args:
        layout: padded, the common idiom: histories [B, L] with a mask; or jagged: behaviours end to end, by our own
            attention and SimTier op.
        sparse: gradients of the tables hold the touched rows alone.
    """

    def __init__(
        self, schema: Schema, config: Config, frozen: dict[str, FrozenTable], layout: str, sparse: bool
    ) -> None:
        super().__init__()
        model = config.model
        assert isinstance(model, DINConfig) and layout in LAYOUTS and model.interaction == "concat"
        assert all(model.modality_config(m).mode == "simtier" for m in frozen)
        self.schema, self.frozen, self.layout, self.sparse = schema, frozen, layout, sparse
        self.tiers = {m: model.modality_config(m).num_tiers for m in frozen}
        dims = {name: t.embedding_dim or model.embedding_dim for name, t in schema.tables.items()}
        widths = {f.name: dims[f.table] for f in schema.features if f.table is not None}
        # one row more, of zeros, is the padding's
        self.tables = nn.ParameterDict(
            {name: torch.empty(t.num_embeddings + 1, dims[name]) for name, t in schema.tables.items()}
        )
        for weight in self.tables.values():
            bound = (weight.shape[0] - 1) ** -0.5
            nn.init.uniform_(weight, -bound, bound)
            weight.data[-1] = 0
        self.sequences = [f for f in schema.sequential if f.kind == "sequence"]
        self.targets = {f.name: f.target for f in self.sequences if f.target is not None}
        attention = PaddedAttention if layout == "padded" else TargetAttention
        self.attention = nn.ModuleDict(
            {f.name: attention(widths[f.name], model.attention.hidden) for f in self.sequences}
        )
        embedded = [*schema.pooled, *schema.sequential]
        width = len(schema.dense) + sum(widths[f.name] for f in embedded) + sum(self.tiers.values())
        self.over = OverArch(width, model.over_arch, model.dropout)

    def forward(self, rows: PaddedRows) -> torch.Tensor:
        """Logits [B]."""
        embedded = self._sequential(rows)
        features = [rows.dense, *(self._pooled(f, rows.ids[f.name]) for f in self.schema.pooled)]
        features += [embedded[f.name] for f in self.schema.sequential if f.kind == "id"]
        features += [
            self.attention[f.name](embedded[self.targets[f.name]], embedded[f.name], rows.lengths[f.name])
            for f in self.sequences
        ]
        features += [self._tiers(m, rows).log1p() for m in self.frozen]
        return self.over(torch.cat(features, dim=1))

    def _pooled(self, feature: Any, ids: torch.Tensor) -> torch.Tensor:
        weight = self.tables[feature.table]
        if feature.kind == "id":
            return functional.embedding(ids, weight, sparse=self.sparse)
        return functional.embedding_bag(
            ids, weight, mode=feature.pooling, padding_idx=weight.shape[0] - 1, sparse=self.sparse
        )

    def _sequential(self, rows: PaddedRows) -> dict[str, torch.Tensor]:
        """Embeddings of each feature on a sequence's table: one lookup a table, so that it has one gradient."""
        embedded = {}
        for table in sorted(self.schema.sequence_tables):
            features = [f for f in self.schema.sequential if f.table == table]
            ids = [rows.ids[f.name] for f in features]
            if self.layout == "jagged":
                masks = [
                    None if i.ndim == 1 else _mask(rows.lengths[f.name], i.shape[1])
                    for f, i in zip(features, ids, strict=True)
                ]
                ids = [i if m is None else i[m] for i, m in zip(ids, masks, strict=True)]
            weight = self.tables[table]
            looked_up = functional.embedding(
                torch.cat([i.flatten() for i in ids]), weight, padding_idx=weight.shape[0] - 1, sparse=self.sparse
            )
            for f, i, e in zip(features, ids, looked_up.split([i.numel() for i in ids]), strict=True):
                embedded[f.name] = e.view(*i.shape, -1)
        return embedded

    @torch.no_grad()
    def _tiers(self, modality: str, rows: PaddedRows) -> torch.Tensor:
        """SimTier's counts [B, N]."""
        table, target, history, tiers = (
            self.frozen[modality],
            rows.target[modality],
            rows.history[modality],
            self.tiers[modality],
        )
        if self.layout == "jagged":
            mask = _mask(rows.lengths[self.schema.modalities[modality].history], history.shape[1])
            offsets = functional.pad(mask.sum(1).cumsum(0), (1, 0))
            return simtier(table.table, table.scale, target, history[mask], offsets, None, tiers)
        similarity = torch.bmm(table.gather(history), table.gather(target).unsqueeze(2)).squeeze(2)
        tier = tier_of(similarity, tiers)
        known = (history >= 0) & (target >= 0).unsqueeze(1)
        return torch.zeros(len(target), tiers).scatter_add_(1, tier, known.float())


class RowWiseAdagrad(torch.optim.Optimizer):
    """Adagrad with one number of state a row, on the rows of a sparse gradient: what our tables are trained by."""

    def __init__(self, parameters: Any, lr: float, eps: float) -> None:
        super().__init__(parameters, {"lr": lr, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step; no ``closure``."""
        assert closure is None
        for group in self.param_groups:
            for p in group["params"]:
                gradient = p.grad.coalesce()
                rows, values = gradient.indices()[0], gradient.values()
                state = self.state[p].setdefault("sum", torch.zeros(p.shape[0]))
                state.index_add_(0, rows, values.square().mean(1))
                scale = group["lr"] / (state[rows].sqrt() + group["eps"])
                p.index_add_(0, rows, values * -scale.unsqueeze(1))


class BaselineTrainer:
    """The PyTorch baseline, its optimizers and its training step."""

    def __init__(self, model: PyTorchBaseline, config: Config) -> None:
        self.model, self.clip = model, config.train.clip_grad_norm
        tables = list(model.tables.values())
        ids = {id(p) for p in tables}
        self.dense = [p for p in model.parameters() if id(p) not in ids]
        adam, adagrad = config.dense_optimizer, config.sparse_optimizer
        self.optimizers = [
            torch.optim.AdamW(self.dense, lr=adam.lr, weight_decay=adam.weight_decay, eps=adam.eps, fused=True),
            RowWiseAdagrad(tables, lr=adagrad.lr, eps=adagrad.eps)
            if model.sparse
            else torch.optim.Adagrad(tables, fused=True, lr=adagrad.lr, eps=adagrad.eps),
        ]

    def step(self, rows: PaddedRows) -> torch.Tensor:
        """Train on one batch; its loss."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss = functional.binary_cross_entropy_with_logits(self.model(rows), rows.labels)
        loss.backward()
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.dense, self.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        return loss.detach()


def measure(
    config: Config, variants: list[tuple[str, str]], *, batch_size: int, threads: int, steps: int, window: int
) -> dict[str, float]:
    """``layout-tables`` -> examples/s of each variant: the median over windows of steps, after one to warm up."""
    from recsys.schema import load_schema

    torch.set_num_threads(threads)
    torch.manual_seed(config.train.seed)
    schema = load_schema(config.data.path)
    stores = open_stores(schema, config.model, config.data.path)
    split = PaddedRows.read(schema, stores, config.data.path, config.data.train)
    speeds = {}
    for layout, tables in variants:
        frozen = {name: FrozenTable(store) for name, store in stores.items()}
        trainer = BaselineTrainer(PyTorchBaseline(schema, config, frozen, layout, tables == "sparse"), config)
        batches, rates = split.batches(batch_size), []
        for _ in range(1 + max(1, steps // window)):
            start, rows = time.perf_counter(), 0
            for batch in itertools.islice(batches, window):
                trainer.step(batch)
                rows += batch.labels.numel()
            rates.append(rows / (time.perf_counter() - start))
        speeds[f"{layout}-{tables}"] = statistics.median(rates[1:])
    return speeds
