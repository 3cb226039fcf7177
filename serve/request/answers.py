"""Answers as JSON and as an Arrow stream."""

import io
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from serve.answer import Answer

_SCHEMA = pa.schema([("score", pa.float32()), ("logit", pa.float32())])


def json_answer(answer: Answer) -> bytes:
    """An object: scores and logits of the candidates in order, and the answer's facts."""
    result = {"scores": answer.scores, "logits": answer.logits, **_facts(answer)}
    return orjson.dumps(result, option=orjson.OPT_SERIALIZE_NUMPY)


def arrow_answer(answer: Answer) -> bytes:
    """An Arrow IPC stream of N rows, score and logit; its schema's metadata has the facts as JSON, under ``answer``."""
    schema = _SCHEMA.with_metadata({"answer": orjson.dumps(_facts(answer), option=orjson.OPT_SERIALIZE_NUMPY)})
    batch = pa.record_batch([pa.array(answer.scores), pa.array(answer.logits)], schema=schema)
    out = io.BytesIO()
    with pa.ipc.new_stream(out, schema) as stream:
        stream.write_batch(batch)
    return out.getvalue()


def _facts(answer: Answer) -> dict[str, Any]:
    unknown = answer.unknown
    return {
        "version": answer.version,
        "stores": answer.stores,
        "unknown": {
            "items": np.flatnonzero(unknown.items),
            "user": unknown.user,
            "vectors": {name: np.flatnonzero(missing) for name, missing in unknown.vectors.items()},
        },
        "truncated": answer.truncated,
    }
