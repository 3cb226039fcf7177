"""Counters of reading: rows, truncated lists, lookups in the frozen stores and those without a vector."""

from dataclasses import dataclass, field


@dataclass
class ReadCounters:
    """What an epoch has read so far on this rank.

    rows       rows handed out
    corrupt    those of them that are filler rows, in the places of rows that could not be read
    truncated  feature -> rows whose list was cut to max_length
    lookups    modality -> raw ids looked up in its store, target and history
    missing    modality -> those that the store does not hold
    """

    rows: int = 0
    corrupt: int = 0
    truncated: dict[str, int] = field(default_factory=dict)
    lookups: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)

    def add(self, other: "ReadCounters") -> None:
        """Add every count of ``other``."""
        self.rows += other.rows
        self.corrupt += other.corrupt
        for counts, more in (
            (self.truncated, other.truncated),
            (self.lookups, other.lookups),
            (self.missing, other.missing),
        ):
            for key, count in more.items():
                counts[key] = counts.get(key, 0) + count

    def missing_share(self, modality: str) -> float:
        """Share of lookups without a vector; 0 before the first lookup."""
        lookups = self.lookups.get(modality, 0)
        return self.missing.get(modality, 0) / lookups if lookups else 0.0
