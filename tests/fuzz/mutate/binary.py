"""Mutations of binary files: bits, bytes, blocks, lengths; the oracle for bytes that a checksum covers."""

import random
import struct
from pathlib import Path


def flipped(data: bytes, rng: random.Random) -> bytes:
    """With one to eight bits turned."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8]) if out else 0):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def spliced(data: bytes, rng: random.Random) -> bytes:
    """With a block put elsewhere: over what is there, into it, or left out."""
    if len(data) < 4:
        return data + b"\0"
    a, b = sorted(rng.randrange(len(data)) for _ in range(2))
    at = rng.randrange(len(data))
    block = data[a : b + 1]
    return rng.choice([data[:at] + block + data[at:], data[:at] + block + data[at + len(block) :], data[:a] + data[b:]])


def mutated(data: bytes, rng: random.Random) -> bytes:
    """``data`` otherwise, by one or several of all ways."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        data = _once(data, rng)
    return data


def _once(data: bytes, rng: random.Random) -> bytes:
    at, kind = rng.randrange(len(data) + 1), rng.randrange(10)
    if kind <= 2:
        return flipped(data, rng)
    if kind == 3:
        return data[:at]
    if kind == 4:
        return data + rng.choice([b"\0", b"\0" * 4096, rng.randbytes(100), data])
    if kind == 5:
        return spliced(data, rng)
    if kind == 6:  # a length, or what might be one
        form = rng.choice(["<I", "<Q", ">I", ">Q", "<H"])
        top = 256 ** struct.calcsize(form) - 1
        value = rng.choice([0, 1, top, top >> 1, (top >> 1) + 1, 2**30 % (top + 1), rng.randrange(256)])
        field = struct.pack(form, value)
        return data[:at] + field + data[at + len(field) :]
    if kind == 7:
        width = rng.choice([1, 8, 64, 512])
        return data[:at] + rng.choice([b"\0", b"\xff"]) * width + data[at + width :]
    if kind == 8:
        return data[:at] + rng.randbytes(rng.choice([1, 4, 32])) + data[at:]
    head = rng.choice([16, 64, 128])  # headers are where the decisions are
    return flipped(data[:head], rng) + data[head:]


def mutate_file(path: Path, rng: random.Random) -> None:
    """Damage a binary file, so that it differs."""
    before = path.read_bytes()
    after = mutated(before, rng)
    path.write_bytes(after if after != before else before[:-1])
