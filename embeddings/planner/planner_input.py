"""What the planner is asked: tables, frozen tables, the dense part, the batch. Plain data, no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from embeddings.errors import InputError

FLOAT_BYTES = 4
ID_BYTES = 8
# Bytes of optimizer state for each row and for each weight of a table.
OPTIMIZER_BYTES = {"rowwise_adagrad": (4, 0), "adagrad": (0, 4), "sgd": (0, 0)}
VECTOR_BYTES = {"float32": (4, 0), "float16": (2, 0), "int8": (1, 4)}  # of each number, of each row


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """What the planner may do with one table; None leaves it free."""

    sharding_types: Sequence[str] | None = None
    min_partition: int | None = None
    compute_kernels: Sequence[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """One ID table.

    module       path of the collection that holds it
    pooled       held by an EmbeddingBagCollection
    mean_length  mean ids a row, of each feature that reads it
    managed      gives rows to ids as they come
    """

    name: str
    rows: int
    columns: int
    module: str
    pooled: bool
    mean_length: tuple[float, ...]
    managed: bool = False

    @property
    def bytes(self) -> int:
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
class Frozen:
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
        return self.rows * self.row_bytes


@dataclass(frozen=True, kw_only=True)
class Dense:
    """The part that every rank holds.

    parameters    float32 numbers
    flops         of one example, forward and backward
    activations   float32 numbers that one example keeps until the backward, or that live beside them
    live          float32 numbers that are there at once in a forward without a backward
    batch_bytes   of one example, as the reader hands it over
    """

    parameters: int = 0
    flops: float = 0.0
    activations: float = 0.0
    live: float = 0.0
    batch_bytes: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Everything that a plan is chosen by, but for the machine.

    batch_size       rows a rank and step
    eval_batch_size  of an evaluation; 0: there is none
    batches          batches of this rank that are in memory at once: the reader's and the pipeline's
    checkpoints      whether the run saves any: each rank then copies what it writes to its host's memory
    """

    tables: tuple[Table, ...]
    batch_size: int
    optimizer: str = "rowwise_adagrad"
    dense: Dense = Dense()
    frozen: tuple[Frozen, ...] = ()
    constraints: Mapping[str, Constraint] = field(default_factory=dict)
    default: Constraint = Constraint()
    batches: int = 3
    eval_batch_size: int = 0
    checkpoints: bool = False

    def __post_init__(self) -> None:
        names = [t.name for t in self.tables]
        unknown = set(self.constraints) - set(names)
        if unknown:
            raise InputError(f"sharding.tables names {sorted(unknown)}; tables are {sorted(names)}")

    def table(self, name: str) -> Table:
        return next(t for t in self.tables if t.name == name)

    def state_bytes(self, rows: np.ndarray | int, columns: np.ndarray | int) -> np.ndarray | int:
        """Bytes of shards of ``rows`` x ``columns`` weights and of their optimizer's state."""
        of_row, of_weight = OPTIMIZER_BYTES[self.optimizer]
        return rows * of_row + rows * columns * (FLOAT_BYTES + of_weight)
