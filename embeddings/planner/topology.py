"""Topology: hardware at one world size, what a rank of it may hold and what a byte costs that it moves."""

from dataclasses import dataclass

import numpy as np

from embeddings.planner.hardware import Hardware
from embeddings.planner.planner_input import FLOAT_BYTES


@dataclass(frozen=True)
class Topology:
    """Hardware at one world size (TorchRec's Topology). Properties in _ns are nanoseconds.

    ranks_of_host  ranks on each host
    """

    hardware: Hardware
    world_size: int
    ranks_of_host: int

    @classmethod
    def of(cls, hardware: Hardware, world_size: int) -> "Topology":
        """As many ranks on a host as ``hardware`` has, or all where there are fewer."""
        return cls(hardware, world_size, min(world_size, hardware.local_world_size))

    @property
    def hosts(self) -> int:
        """Hosts in all."""
        return -(-self.world_size // self.ranks_of_host)

    @property
    def capacity(self) -> tuple[int, int]:
        """Bytes that a plan may fill: of one rank's own memory, and its share of the host's (0 on CPU: the same)."""
        own = self.hardware.device_bytes(self.ranks_of_host)
        if self.hardware.device == "cpu":
            return own, 0
        return own, self.hardware.host_bytes(self.ranks_of_host) // self.ranks_of_host

    def wire_ms(self, sent: np.ndarray | float) -> np.ndarray | float:
        """Milliseconds to send ``sent`` bytes, spread evenly over all other ranks."""
        peers = self.world_size - 1
        if not peers:
            return 0.0 * sent
        away = (self.world_size - self.ranks_of_host) / peers
        return sent * (1 - away) * self.near_ns * 1e-6 + sent * away * self.far_ns * 1e-6

    @property
    def near_ns(self) -> float:
        """One byte to a rank of the same host."""
        measured = self.hardware.speed.wire_ns
        return measured if measured is not None else 1 / (self.hardware.reach * self.hardware.intra_gb_per_s)

    @property
    def far_ns(self) -> float:
        """One byte to another host."""
        return 1 / (self.hardware.reach * self.hardware.inter_gb_per_s)

    @property
    def byte_ns(self) -> float:
        """One byte of table memory, moved once."""
        measured = self.hardware.speed.byte_ns
        return measured if measured is not None else 1 / self.hardware.memory_gb_per_s

    @property
    def vector_ns(self) -> float:
        """One byte of frozen vectors, read in random rows."""
        measured = self.hardware.speed.vector_ns
        return measured if measured is not None else self.byte_ns

    @property
    def pcie_ns(self) -> float:
        """One byte of host memory, read by a device."""
        return 1 / (self.hardware.reach * self.hardware.pcie_gb_per_s)

    @property
    def activation_ns(self) -> float:
        """One float32 that the forward writes and the backward reads, and its gradient."""
        measured = self.hardware.speed.activation_ns
        return measured if measured is not None else 4 * FLOAT_BYTES * self.byte_ns

    @property
    def rearranged_ns(self) -> float:
        """One byte read in one order and written in another."""
        measured = self.hardware.speed.rearranged_ns
        return measured if measured is not None else 2 * self.byte_ns

    @property
    def replicated_ns(self) -> float:
        """One weight of a replicated table: gradient written and read, weight and state read and written."""
        measured = self.hardware.speed.replicated_ns
        return measured if measured is not None else 6 * FLOAT_BYTES * self.byte_ns
