"""Hardware descriptions: memory, bandwidths and unit costs of a kind of machine, read from YAML files."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from embeddings.errors import InputError, nearest, shown
from embeddings.files.yaml_file import read_yaml, write_yaml
from embeddings.validation import Strict, validated

SHIPPED = Path(__file__).with_name("hardware")
GIB = 2**30
MOST_RANKS = 8192
_SMALLEST, _LARGEST = 1e-3, 1e15  # of what times are divided by, and of everything
Number = Annotated[float, Field(ge=0, le=_LARGEST)]
Divisor = Annotated[float, Field(ge=_SMALLEST, le=_LARGEST)]


class Speed(Strict):
    """Unit costs. What is left out of a file follows from the bandwidths; ``--calibrate`` measures all of them.

    step_ms          what every step costs
    gflop_ms         10^9 FLOPs of the dense part; null: from tflops
    activation_ns    one float32 of activations, made, kept and read again; null: from the memory's bandwidth
    exchange_us      fixed cost of one exchange, there and back: a collection and a kind of sharding
    pooled_id_ns     one id of a pooled table, looked up, and updated in the backward, apart from its bytes
    sequence_id_ns   the same of a sequence table
    byte_ns          one byte of table memory, moved once; null: from the memory's bandwidth
    vector_ns        one byte of frozen vectors, read in random rows; null: as byte_ns
    wire_ns          one byte sent to a rank of the same host; null: from intra_gb_per_s
    rearranged_ns    one byte of ids and vectors put into another order, which row-wise tables and sequences need
    replicated_ns    one weight of a replicated table, whose optimizer visits all rows; null: from byte_ns
    """

    step_ms: Number = 0.0
    gflop_ms: Number | None = None
    activation_ns: Number | None = None
    exchange_us: Number = 0.0
    pooled_id_ns: Number = 0.0
    sequence_id_ns: Number = 0.0
    byte_ns: Number | None = None
    vector_ns: Number | None = None
    wire_ns: Number | None = None
    rearranged_ns: Number | None = None
    replicated_ns: Number | None = None


class Hardware(Strict):
    """One kind of machine.

    hbm_gib, ddr_gib      memory of a device, and of a whole host
    local_world_size      ranks of a host
    *_gb_per_s            device memory, host memory, host to device, between devices of a host, to other hosts
    reach                 share of those bandwidths that random rows and collectives reach
    tflops, efficiency    of the dense part, and the share of it that a CTR model reaches
    process_gib           what a rank holds before it has a table: libraries, CUDA context, communication buffers
    spare                 share of memory that no plan may fill
    price_per_hour        of one device; 0: not said
    calibrated            where the speeds were measured; empty: data sheets
    """

    name: str
    device: Literal["cpu", "cuda"]
    ddr_gib: Divisor
    local_world_size: int = Field(ge=1, le=MOST_RANKS)
    hbm_gib: Number = 0.0
    hbm_gb_per_s: Number = 0.0
    ddr_gb_per_s: Divisor
    pcie_gb_per_s: Number = 0.0
    intra_gb_per_s: Divisor
    inter_gb_per_s: Divisor
    reach: Divisor = 1.0
    tflops: Number = 0.0
    efficiency: Divisor = 0.3
    process_gib: Number = 0.0
    spare: float = Field(0.1, ge=0, lt=1)
    price_per_hour: Number = 0.0
    calibrated: str = ""
    speed: Speed = Speed()

    @model_validator(mode="after")
    def _has_what_its_device_needs(self) -> "Hardware":
        for key in ("hbm_gib", "hbm_gb_per_s", "pcie_gb_per_s", "tflops"):
            value = getattr(self, key)
            if value < _SMALLEST and (value or self.device == "cuda"):
                raise ValueError(f"{key} is {value:g}; a {self.device} device needs at least {_SMALLEST:g}")
        return self

    @property
    def memory_gb_per_s(self) -> float:
        """What lookups reach of the memory that tables live in."""
        return self.reach * (self.hbm_gb_per_s if self.device == "cuda" else self.ddr_gb_per_s)

    def with_(self, **changes: Any) -> "Hardware":
        """A copy with some fields changed."""
        return self.model_copy(update=changes)

    def device_bytes(self, ranks_of_host: int) -> int:
        """What a plan may fill of one rank's own memory: HBM, or on CPU its share of the host's."""
        whole = self.hbm_gib if self.device == "cuda" else self.ddr_gib / ranks_of_host
        return int(((1 - self.spare) * whole - self.process_gib) * GIB)

    def host_bytes(self, ranks_of_host: int) -> int:
        """What a plan may fill of one host's memory, all ranks together."""
        processes = 0.0 if self.device == "cuda" else self.process_gib * ranks_of_host
        return int(((1 - self.spare) * self.ddr_gib - processes) * GIB)


def shipped_hardware() -> list[str]:
    """Names of the files that ship with the project."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def load_hardware(name: str) -> Hardware:
    """A shipped part by name, or a YAML file by its path. Raises InputError naming the nearest key or part."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else SHIPPED / f"{name}.yaml"
    if not path.is_file():
        hint = nearest(name, shipped_hardware())
        raise InputError(
            f"hardware {shown(name)} is no file and no shipped part{hint}; shipped: {', '.join(shipped_hardware())}"
        )
    return validated(Hardware, read_yaml(path, "hardware file"), where=f"hardware file '{path}'")


def save_hardware(hardware: Hardware, path: Path) -> None:
    """Write a file that ``load_hardware`` reads, atomically. Raises OSError."""
    write_yaml(path, hardware.model_dump())
