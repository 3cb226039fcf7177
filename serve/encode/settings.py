"""Settings of the encode service, as the command line gives them."""

from dataclasses import dataclass

from embeddings.frozen.quantise import StoredDtype
from serve.http.settings import Listening


@dataclass(frozen=True, kw_only=True)
class EncodeSettings(Listening):
    """
    encoder    folder of an exported encoder
    index      folder of the live index; made where there is none
    contents   folder of the content log; made where there is none
    folder     to watch for files of items, if any
    id_column  of parquet files
    column     of parquet files, with the content; None: the one that holds such
    model      folder of an exported model that is trained on the vectors: a new encoder becomes active with the version
               that names it; None: when it is told to
    dtype      of the vectors of an encoder that is new in the index
    batch      items encoded at once, at most
    workers    threads that decode
    backlog    revisions that may wait to be encoded; 429 beyond
    """

    encoder: str
    index: str
    contents: str
    folder: str | None = None
    id_column: str = "item"
    column: str | None = None
    model: str | None = None
    dtype: StoredDtype = "float16"
    batch: int = 64
    workers: int = 2
    backlog: int = 10_000
    port: int = 8610
    body_bytes: int = 16 << 20
    timeout_s: float = 30.0
