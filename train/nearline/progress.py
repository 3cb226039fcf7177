"""What progress.json of a near-line checkpoint holds: that of a CTR run's, and the position in the stream."""

from pydantic import BaseModel

from embeddings.validation import Count
from recsys.stream.position import StreamPosition
from train.ctr.progress import CTRProgress


class _Counters(BaseModel):
    files: Count
    rows: Count
    again: Count
    damaged: Count
    gaps: Count
    backwards: Count


class NearlineProgress(CTRProgress):
    """``reader`` is of the CTR run that was trained on from."""

    stream: StreamPosition
    counters: _Counters
