"""What a live index holds, of each encoder: ids, dead rows, bytes on disk."""

import os
from dataclasses import asdict, dataclass
from typing import Any

from embeddings.index.index_files import KEYS, segments_folder
from embeddings.index.key_store import key_store
from embeddings.index.segments import SEGMENT_ROWS


@dataclass(frozen=True)
class EncoderStatistics:
    """``rows`` are written, dead ones too; ``dead`` is the share of them that no id has any more."""

    encoder: str
    active: bool
    width: int
    dtype: str
    ids: int
    sequence: int
    rows: int
    dead: float
    segments: int
    bytes_on_disk: int


def statistics(path: str) -> dict[str, Any]:
    """Path, bytes of the keys, and the statistics of each encoder, as plain data. Raises InputError."""
    found = []
    with key_store(path) as keys, keys.reading() as view:
        active = view.active()
        for number, about in view.encoders().items():
            state = view.state(number)
            assert state is not None, "an encoder has a state"
            rows = sum(min(SEGMENT_ROWS, state.next_row - segment * SEGMENT_ROWS) for segment in state.segments)
            found.append(
                EncoderStatistics(
                    encoder=about.encoder,
                    active=number == active,
                    width=about.width,
                    dtype=about.dtype,
                    ids=state.items,
                    sequence=state.sequence,
                    rows=rows,
                    dead=round(1 - state.items / rows, 4) if rows else 0.0,
                    segments=len(state.segments),
                    bytes_on_disk=_on_disk(segments_folder(path, number)),
                )
            )
    keys_bytes = _on_disk(os.path.join(path, KEYS))
    return {"path": path, "keys_bytes_on_disk": keys_bytes, "encoders": [asdict(one) for one in found]}


def _on_disk(folder: str) -> int:
    """Bytes that the files in ``folder`` take; of a sparse one, what is written."""
    if not os.path.isdir(folder):
        return 0
    return sum(512 * entry.stat().st_blocks for entry in os.scandir(folder))
