"""The planner's input: tables, frozen tables, cost of the dense model, batches, constraints. Plain data, no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from embeddings.errors import InputError
from embeddings.planner.sharding_types import possible_sharding_types
from embeddings.planner.table_constraint import TableConstraint

FLOAT_BYTES = 4
ID_BYTES = 8
# Bytes of optimizer state for each row and for each weight of a table.
OPTIMIZER_BYTES = {"rowwise_adagrad": (4, 0), "adagrad": (0, 4), "sgd": (0, 0)}
VECTOR_BYTES = {"float32": (4, 0), "float16": (2, 0), "int8": (1, 4)}  # of each number, of each row


_FREE = TableConstraint()


@dataclass(frozen=True, kw_only=True)
class TableInput:
    """One ID table of float32 [rows, columns].

    module       path in the model of the collection that holds it, such as sparse.bags
    pooled       held by an EmbeddingBagCollection
    mean_length  mean ids a row, of each feature that reads it
    zch          rows are given to ids as they come (zero-collision hashing), and the id of each row is kept
    """

    name: str
    rows: int
    columns: int
    module: str
    pooled: bool
    mean_length: tuple[float, ...]
    zch: bool = False

    def possible_sharding_types(self, device: str) -> tuple[tuple[str, ...], str]:
        """Sharding types that run on ``device``, and words on why not all."""
        return possible_sharding_types(self.rows, self.columns, self.zch, device)

    @property
    def bytes(self) -> int:
        """Of the weights."""
        return FLOAT_BYTES * self.rows * self.columns

    @property
    def ids(self) -> float:
        """Ids looked up for one example."""
        return sum(self.mean_length)

    @property
    def outputs(self) -> float:
        """Vectors that one example gets from the table: one a feature where they are pooled, else one an id."""
        return sum(min(n, 1.0) for n in self.mean_length) if self.pooled else self.ids


@dataclass(frozen=True, kw_only=True)
class FrozenInput:
    """One frozen table, and what one example reads of it and gets back where its rows are sharded.

    mean_length  behaviours
    reads        times that a step reads those vectors: once for each use, again in the backward of MAKE
    results      float32 numbers that each rank sends back, and gradients of them that it gets
    row_wise     whether its use allows rows over ranks: SimTier and MAKE do, vectors themselves do not travel
    """

    name: str
    rows: int
    width: int
    dtype: str
    mean_length: float = 1.0
    reads: int = 1
    results: int = 0
    placement: str = "auto"
    row_wise: bool = True

    @property
    def smallest(self) -> str:
        """The placement that takes least memory of a rank."""
        return "row_wise" if self.row_wise else "host"

    @property
    def row_bytes(self) -> int:
        """Of one vector and its scale."""
        number, row = VECTOR_BYTES[self.dtype]
        return number * self.width + row

    @property
    def bytes(self) -> int:
        """Of the whole table."""
        return self.rows * self.row_bytes


@dataclass(frozen=True, kw_only=True)
class ModelCost:
    """Memory and work of the dense model, which every rank holds whole.

    parameters        float32 numbers
    flops             of one example, forward and backward
    activations       float32 numbers that one example keeps until the backward, or that live beside them
    eval_activations  float32 numbers that are there at once in a forward without a backward
    batch_bytes       of one example, as the reader hands it over
    """

    parameters: int = 0
    flops: float = 0.0
    activations: float = 0.0
    eval_activations: float = 0.0
    batch_bytes: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PlannerInput:
    """Everything that a plan is chosen by, but for the topology.

    batch_size          rows a rank and step
    optimizer           of the tables: a key of OPTIMIZER_BYTES
    constraints         table name -> what the planner may do with it
    default_constraint  of the tables that are not in ``constraints``
    batches             batches of this rank that are in memory at once: the reader's and the pipeline's
    eval_batch_size     rows a rank and step of an evaluation; 0: there is none
    checkpoints         whether the run saves any: each rank then copies what it writes to its host's memory
    """

    tables: tuple[TableInput, ...]
    batch_size: int
    optimizer: str = "rowwise_adagrad"
    model_cost: ModelCost = ModelCost()
    frozen: tuple[FrozenInput, ...] = ()
    constraints: Mapping[str, TableConstraint] = field(default_factory=dict)
    default_constraint: TableConstraint = _FREE
    batches: int = 3
    eval_batch_size: int = 0
    checkpoints: bool = False

    def __post_init__(self) -> None:
        names = [t.name for t in self.tables]
        unknown = set(self.constraints) - set(names)
        if unknown:
            raise InputError(f"sharding.tables names {sorted(unknown)}; tables are {sorted(names)}")

    def table(self, name: str) -> TableInput:
        """The ID table of that name, which there is."""
        return next(t for t in self.tables if t.name == name)

    def state_bytes(self, rows: np.ndarray | int, columns: np.ndarray | int) -> np.ndarray | int:
        """Bytes of shards of ``rows`` x ``columns`` weights and of their optimizer's state."""
        of_row, of_weight = OPTIMIZER_BYTES[self.optimizer]
        return rows * of_row + rows * columns * (FLOAT_BYTES + of_weight)
