"""What the keys of a live index look like: bytes of LMDB's keys and values, and what they mean.

    "m" name                "identity" of the index; "active" encoder's number; "encoders" so far
    "e" encoder             JSON of EncoderMeta
    "s" encoder             State, and the numbers of its segment files
    "i" encoder id          Entry: where the id's vector is
    "l" encoder sequence    what that commit changed; older ones are left out, so that the log stays short

Encoders are numbered, 4 bytes; ids and sequences have 8; all big-endian, the sign of an id flipped, so that keys
ascend as the numbers do.
"""

import struct
from typing import NamedTuple

import numpy as np
from pydantic import ConfigDict, Field

from embeddings.errors import InputError
from embeddings.frozen.quantise import StoredDtype
from embeddings.validation import Strict, validated

IDENTITY, ACTIVE, ENCODERS = b"midentity", b"mactive", b"mencoders"
ENTRY = np.dtype([("row", "<i8"), ("sequence", "<i8"), ("crc", "<u4")])
CHANGE = np.dtype([("id", "<i8"), ("row", "<i8")])  # row -1: the id was deleted
PREFIX_BYTES = 5
_SIGN = np.uint64(1 << 63)
_STATE = struct.Struct("<4q")


class EncoderMeta(Strict):
    """What one encoder's vectors are."""

    model_config = ConfigDict(strict=True)

    encoder: str = Field(min_length=1)
    width: int = Field(ge=1)
    dtype: StoredDtype


class State(NamedTuple):
    """Where an encoder's vectors stand after a commit.

    next_row  where the next vector is written
    sequence  commits so far
    items     ids that have a vector
    logged    changes in the log
    segments  numbers of the segment files
    """

    next_row: int
    sequence: int
    items: int
    logged: int
    segments: tuple[int, ...]

    def packed(self) -> bytes:
        """As a value."""
        return _STATE.pack(*self[:4]) + np.array(self.segments, "<i8").tobytes()

    @classmethod
    def unpacked(cls, raw: bytes) -> "State":
        """Of a value. Raises struct.error, ValueError."""
        next_row, sequence, items, logged = _STATE.unpack_from(raw)
        segments = np.frombuffer(raw, "<i8", offset=_STATE.size)
        return cls(next_row, sequence, items, logged, tuple(segments.tolist()))


def encoder_meta(encoder: str, width: int, dtype: str) -> EncoderMeta:
    """What a new encoder's vectors are to be. Raises InputError."""
    if not encoder:
        raise InputError("the encoder has no name; name what makes the vectors, such as a model and its version")
    return validated(EncoderMeta, {"encoder": encoder, "width": width, "dtype": dtype}, "live index")


def prefix(kind: bytes, number: int) -> bytes:
    """How all keys of one kind ("e", "s", "i" or "l") of encoder ``number`` begin."""
    return kind + struct.pack(">I", number)


def id_keys(number: int, ids: np.ndarray) -> list[bytes]:
    """The key of each id, int64 [n]."""
    start = prefix(b"i", number)
    raw = (np.ascontiguousarray(ids).view(np.uint64) ^ _SIGN).astype(">u8").tobytes()
    return [start + raw[at : at + 8] for at in range(0, len(raw), 8)]


def log_key(number: int, sequence: int) -> bytes:
    """The key of a commit's changes."""
    return prefix(b"l", number) + struct.pack(">q", sequence)


def sequence_of(key: bytes) -> int:
    """The sequence in a log's key."""
    return int.from_bytes(key[PREFIX_BYTES:], "big")


_ITEM = np.dtype([("prefix", f"V{PREFIX_BYTES}"), ("id", ">u8"), ("entry", ENTRY)])


def read_items(raw: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Ids, int64 [n], and entries, ENTRY [n], of keys and values one after the other. Raises ValueError."""
    items = np.frombuffer(raw, _ITEM)
    return (items["id"].astype(np.uint64) ^ _SIGN).view(np.int64), items["entry"]
