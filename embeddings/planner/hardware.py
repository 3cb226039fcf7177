"""Hardware descriptions: memory, bandwidths and unit costs of a kind of machine, read from YAML files."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings.errors import InputError, nearest
from embeddings.yaml_file import read_yaml, write_yaml

SHIPPED = Path(__file__).with_name("hardware")
GIB = 2**30
_NOT_ZERO = ("ddr_gib", "local_world_size", "ddr_gb_per_s", "intra_gb_per_s", "inter_gb_per_s", "reach", "efficiency")


@dataclass(frozen=True, kw_only=True)
class Speed:
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

    step_ms: float = 0.0
    gflop_ms: float | None = None
    activation_ns: float | None = None
    exchange_us: float = 0.0
    pooled_id_ns: float = 0.0
    sequence_id_ns: float = 0.0
    byte_ns: float | None = None
    vector_ns: float | None = None
    wire_ns: float | None = None
    rearranged_ns: float | None = None
    replicated_ns: float | None = None


@dataclass(frozen=True, kw_only=True)
class Hardware:
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
    device: str
    ddr_gib: float
    local_world_size: int
    hbm_gib: float = 0.0
    hbm_gb_per_s: float = 0.0
    ddr_gb_per_s: float
    pcie_gb_per_s: float = 0.0
    intra_gb_per_s: float
    inter_gb_per_s: float
    reach: float = 1.0
    tflops: float = 0.0
    efficiency: float = 0.3
    process_gib: float = 0.0
    spare: float = 0.1
    price_per_hour: float = 0.0
    calibrated: str = ""
    speed: Speed = Speed()

    @property
    def memory_gb_per_s(self) -> float:
        """What lookups reach of the memory that tables live in."""
        return self.reach * (self.hbm_gb_per_s if self.device == "cuda" else self.ddr_gb_per_s)

    def with_(self, **changes: Any) -> "Hardware":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

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
            f"hardware '{name}' is no file and no shipped part{hint}; shipped: {', '.join(shipped_hardware())}"
        )
    raw = read_yaml(path, "hardware file")
    if not isinstance(raw, dict):
        raise InputError(f"hardware file '{path}' holds no keys; docs/planner.md lists them")
    costs = raw.pop("speed", None) or {}
    if not isinstance(costs, dict):
        raise InputError(f"hardware file '{path}': speed is '{costs}', which holds no keys; docs/planner.md lists them")
    speed = _filled(Speed, costs, path, "speed.")
    hardware = _filled(Hardware, {**raw, "speed": speed}, path, "")
    if hardware.device not in ("cpu", "cuda"):
        raise InputError(f"hardware file '{path}': device is '{hardware.device}'; allowed: cpu, cuda")
    of_cuda = ("hbm_gib", "hbm_gb_per_s", "pcie_gb_per_s", "tflops") if hardware.device == "cuda" else ()
    for key in (*_NOT_ZERO, *of_cuda):
        if not getattr(hardware, key):
            raise InputError(f"hardware file '{path}': {key} is 0; a {hardware.device} device needs more than that")
    if hardware.local_world_size != int(hardware.local_world_size):
        raise InputError(f"hardware file '{path}': local_world_size is {hardware.local_world_size}; ranks are whole")
    if hardware.spare >= 1:
        raise InputError(f"hardware file '{path}': spare is {hardware.spare}; it is a share of memory, below 1")
    return hardware.with_(local_world_size=int(hardware.local_world_size))


def save_hardware(hardware: Hardware, path: Path) -> None:
    """Write a file that ``load_hardware`` reads, atomically. Raises OSError."""
    write_yaml(path, dataclasses.asdict(hardware))


def _filled(model: type, raw: dict, path: Path, prefix: str) -> Any:
    """A Speed or Hardware of ``raw``. Raises InputError naming the key, ``prefix`` before it."""
    fields = {f.name: f for f in dataclasses.fields(model)}
    for key, value in raw.items():
        if key not in fields:
            known = nearest(str(key), fields) or f"; known: {', '.join(fields)}"
            raise InputError(f"hardware file '{path}': unknown key '{prefix}{key}'{known}")
        text = key in ("name", "device", "calibrated", "speed")
        if not text and value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise InputError(f"hardware file '{path}': {prefix}{key} is '{value}', which is no number")
        if not text and value is not None and not 0 <= value < math.inf:
            raise InputError(
                f"hardware file '{path}': {prefix}{key} is {value}; numbers here are finite and not negative"
            )
    required = [n for n, f in fields.items() if f.default is dataclasses.MISSING and raw.get(n) is None]
    if required:
        raise InputError(f"hardware file '{path}': {', '.join(prefix + n for n in required)} missing")
    return model(**raw)
