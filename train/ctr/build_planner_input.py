"""Input of the sharding planner for a CTR run, from its config, the data set's schema and facts of its data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Protocol

from pydantic import Field

from embeddings.errors import InputError
from embeddings.files.yaml_file import read_yaml
from embeddings.planner.planner_input import FrozenInput, PlannerInput, TableInput
from embeddings.planner.table_constraint import MOST_TABLE_ROWS, TableConstraint
from embeddings.validation import Strict, validated
from recsys.schema import Schema
from train.ctr.config import Config

_PIPELINE = 3  # batches that TorchRec's pipeline holds


class StoreFacts(Protocol):
    """Size and dtype of a frozen store, whether it is here or assumed."""

    @property
    def count(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def dtype(self) -> str: ...
    @property
    def live(self) -> bool: ...


class AssumedStore(Strict):
    """A frozen store that is not here."""

    count: int = Field(ge=1, le=MOST_TABLE_ROWS, description="items")
    width: int = Field(ge=1, le=2**16)
    dtype: Literal["float32", "float16", "int8"] = "int8"

    @property
    def live(self) -> bool:
        """An assumed store is a frozen one."""
        return False


class Assumptions(Strict):
    """Facts of data that is not here, for planning."""

    lengths: dict[str, Annotated[float, Field(ge=0, le=10**6)]] = Field({}, description="feature -> mean ids a row")
    frozen: dict[str, AssumedStore] = Field({}, description="modality -> its store")


def load_assumptions(path: str) -> Assumptions:
    """Read a YAML file of assumptions. Raises InputError."""
    if not Path(path).is_file():
        raise InputError(f"file of assumptions '{path}' does not exist; docs/planner.md shows one")
    return validated(Assumptions, read_yaml(path, "assumptions"), where=f"assumptions '{path}'")


def facts(
    config: Config, schema: Schema, assumed: Assumptions
) -> tuple[dict[str, float], dict[str, StoreFacts], list[str]]:
    """What the planner needs to know of the data: feature -> mean ids a row, modality -> store, and notes for the user.

    ``assumed`` goes before the data in the training split, and that before max_length, which a note tells. Raises
    InputError where none of them has a figure.
    """
    from embeddings.index.open_vectors import open_vectors
    from train.data.stats.mean_lengths import mean_lengths

    notes = []
    lengths: dict[str, Annotated[float, Field(ge=0, le=10**6)]] = {}
    folder = Path(config.data.path)
    if (folder / config.data.train).is_dir():
        lengths = mean_lengths(config.data.path, config.data.train, schema)
    for f in schema.features:
        if f.name in assumed.lengths:
            lengths[f.name] = assumed.lengths[f.name]
        elif f.name not in lengths and f.kind in ("bag", "sequence"):
            if f.max_length is None:
                raise InputError(
                    f"no data in '{folder / config.data.train}' to take the length of '{f.name}' from; give it with "
                    f"--assume FILE: lengths: {{{f.name}: 20}}"
                )
            lengths[f.name] = f.max_length
            notes.append(f"length of '{f.name}': its max_length, {f.max_length}; there is no data to ask")
    unknown = set(assumed.lengths) - {f.name for f in schema.features} | set(assumed.frozen) - set(schema.modalities)
    if unknown:
        raise InputError(f"--assume names {sorted(unknown)}, which the schema of '{folder}' does not have")
    stores: dict[str, StoreFacts] = {}
    for name, m in schema.modalities.items():
        if not config.model.uses(name):
            continue
        if name in assumed.frozen:
            stores[name] = assumed.frozen[name]
        else:
            try:
                stores[name] = open_vectors(m.store_path(folder))
            except InputError as error:
                known = f"frozen: {{{name}: {{count: 1000000, width: 128, dtype: int8}}}}"
                raise InputError(f"{error}; to plan without it, give its size with --assume FILE: {known}") from None
    return lengths, stores, notes


def _placement(wanted: str, store: StoreFacts) -> str:
    """``wanted``; of a live index, whose vectors are read in place, "host" instead of "auto"."""
    return "host" if store.live and wanted == "auto" else wanted


def build_planner_input(
    config: Config, schema: Schema, lengths: Mapping[str, float], stores: Mapping[str, StoreFacts]
) -> PlannerInput:
    """Tables, frozen tables, model cost and constraints of a run, for the sharding planner.

    Args:
        lengths: feature -> mean ids a row.
        stores: modality -> store, of the modalities that the model uses.
    """
    from recsys.models.model_cost import model_cost
    from recsys.models.sparse import collection_name, table_configs

    model = config.model
    tables = table_configs(schema, model.embedding_dim, lengths) if model.has_tables else []
    widths = {name: store.width for name, store in stores.items()}
    return PlannerInput(
        tables=tuple(
            TableInput(
                name=t.name,
                rows=t.num_embeddings,
                columns=t.embedding_dim,
                module=f"sparse.{collection_name(t.pooled, t.zch)}",
                pooled=t.pooled,
                mean_length=t.mean_length,
                zch=t.zch,
            )
            for t in tables
        ),
        batch_size=config.data.batch_size,
        eval_batch_size=config.data.eval_batch_size,
        checkpoints=True,
        optimizer=config.sparse_optimizer.name,
        model_cost=model_cost(schema, model, tables, lengths, widths),
        frozen=tuple(
            FrozenInput(
                name=name,
                rows=max(1, store.count),  # a live index may be empty yet
                width=store.width,
                dtype=store.dtype,
                mean_length=lengths.get(schema.modalities[name].history, 1.0),
                reads=model.reads(name),
                results=model.results(name, store.width),
                placement=_placement(model.placement(name), store),
                row_wise=not model.per_behaviour(name),
            )
            for name, store in stores.items()
        ),
        constraints=config.sharding.tables if tables else {},
        default_constraint=TableConstraint(sharding_types=config.sharding.sharding_types),
        batches=config.data.prefetch * config.data.workers + _PIPELINE,
    )
