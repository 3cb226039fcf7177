"""Answers as JSON and Arrow: every float32 reads back bit for bit, and what is told beside the scores."""

import json

import numpy as np
import pyarrow as pa

from serve.answer import Answer
from serve.request.answers import arrow_answer, json_answer
from serve.unknown import Unknown


def answer(logits: np.ndarray) -> Answer:
    items, missing = np.arange(logits.size) % 3 == 0, np.arange(logits.size) % 5 == 0
    unknown = Unknown(items, np.array([False, True]), {"text": missing}, {}, {})
    return Answer(logits, logits[::-1].copy(), "000012", {"text": "ab"}, unknown, {"history": 2})


def any_float32() -> np.ndarray:
    bits = np.random.default_rng(3).integers(0, 2**32, 20_000, np.uint32).view(np.float32)
    edges = [0.0, -0.0, 1e-45, -1e-45, 1.1754944e-38, 3.4028235e38, 1 / 3, 16777217.0]
    return np.concatenate([np.array(edges, np.float32), bits[np.isfinite(bits)]])


def test_json_reads_back_bit_for_bit():
    logits = any_float32()
    got = json.loads(json_answer(answer(logits)))
    assert np.array(got["logits"], np.float32).tobytes() == logits.tobytes()
    assert np.array(got["scores"], np.float32).tobytes() == logits[::-1].tobytes()
    assert (got["version"], got["stores"], got["truncated"]) == ("000012", {"text": "ab"}, {"history": 2})
    assert got["unknown"]["user"] is True and got["unknown"]["items"][:3] == [0, 3, 6]
    assert got["unknown"]["vectors"]["text"][:3] == [0, 5, 10]


def test_arrow_has_the_same():
    logits = any_float32()
    table = pa.ipc.open_stream(arrow_answer(answer(logits))).read_all()
    assert table.schema.names == ["score", "logit"] and table.schema.field(0).type == pa.float32()
    assert table["logit"].to_numpy().tobytes() == logits.tobytes()
    told = json.loads(json_answer(answer(logits)))
    assert json.loads(table.schema.metadata[b"answer"]) == {k: told[k] for k in told if k not in ("scores", "logits")}


def test_no_candidates():
    got = json.loads(json_answer(answer(np.zeros(0, np.float32))))
    assert got["scores"] == got["logits"] == [] and got["unknown"]["items"] == []
    assert pa.ipc.open_stream(arrow_answer(answer(np.zeros(0, np.float32)))).read_all().num_rows == 0
