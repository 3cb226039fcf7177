"""Page headers of a parquet column chunk: what its pages really hold, and whether they have checksums.

A footer may say 10 values where a page has 10^9, and the decoder goes by the page. Nothing is decoded here. Headers are
thrift in its compact protocol; the few fields that matter are those of parquet-format's PageHeader.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

_TYPE, _UNCOMPRESSED, _COMPRESSED, _CRC = 1, 2, 3, 4
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3  # page types
_HEADER_OF = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}
_ENCODING = {_DATA: 2, _DICTIONARY: 2, _DATA_V2: 4}
INDICES = frozenset({2, 8})  # encodings of indices into a dictionary
_I32, _STRUCT = 5, 12
_PEEK_BYTES = (256, 1 << 16, 1 << 24)  # read for a header; statistics of long strings make it long
_MOST_DEPTH = 8

Read = Callable[[int, int], bytes]  # offset, bytes -> at most so many


class PageHeaderError(ValueError):
    """Page headers that make no sense, or do not fit their footer."""


@dataclass
class ChunkPages:
    """The pages of a column chunk.

    values         in its data pages, nulls and empty lists among them
    pages          how many there are, dictionaries among them
    checked        how many of those have a checksum
    largest_bytes  of one page, decompressed
    bytes          of all of them
    encodings      parquet-format's numbers, of data pages
    data           values and bytes of each data page that is no index into a dictionary
    dictionary     where its data begin, bytes in the file, bytes decompressed, entries; zeros where there is none
    """

    values: int = 0
    pages: int = 0
    checked: int = 0
    largest_bytes: int = 0
    bytes: int = 0
    encodings: set[int] = field(default_factory=set)
    data: list[tuple[int, int]] = field(default_factory=list)
    dictionary: tuple[int, int, int, int] = (0, 0, 0, 0)

    def safe_values(self, most: int) -> int:
        """How many consecutive values of ``data`` take ``most`` bytes and one page, whichever they are."""
        first = last = size = inside = 0  # pages [first, last) take size bytes; values of those after the first
        safe = self.values
        while last < len(self.data):
            count, decoded = self.data[last]
            if size and size + decoded > most:
                safe = min(safe, inside + 1)
                size -= self.data[first][1]
                first += 1
                inside -= self.data[first][0] if first < last else 0
            else:
                inside += count if first < last else 0
                size, last = size + decoded, last + 1
        return max(safe, 1)


def read_pages(read: Read, start: int, stop: int, values: int) -> ChunkPages:
    """Walk the headers of a chunk at ``start`` to ``stop`` of a file until its pages hold ``values`` values.

    Raises PageHeaderError where they hold more, where the chunk ends before, and for a header that makes no sense.
    """
    found = ChunkPages()
    while found.values < values:
        header, length = _header(read, start)
        kind, size = header.numbers.get(_TYPE, -1), header.numbers.get(_COMPRESSED, -1)
        decoded = header.numbers.get(_UNCOMPRESSED, -1)
        start += length + size
        if size < 0 or decoded < 0 or start > stop:
            raise PageHeaderError("a page header says more bytes than the column has")
        inner = header.structs.get(_HEADER_OF[kind], _Fields()).numbers if kind in _HEADER_OF else {}
        count = inner.get(1, -1) if kind in _HEADER_OF else 0
        if count < 0 or (kind == _DICTIONARY and count > decoded):
            raise PageHeaderError("a page header has no sensible number of values")
        if kind in (_DATA, _DATA_V2):
            found.values += count
            encoding = inner.get(_ENCODING[kind], -1)
            found.encodings.add(encoding)
            if encoding not in INDICES:
                found.data.append((count, decoded))
        elif kind == _DICTIONARY:
            found.dictionary = (start - size, size, decoded, count)
        found.pages += 1
        found.checked += _CRC in header.numbers
        found.largest_bytes = max(found.largest_bytes, decoded)
        found.bytes += decoded
    if found.values > values:
        raise PageHeaderError(f"pages hold {found.values} values where the footer says {values}")
    return found


def has_checksum(read: Read, start: int) -> bool:
    """Whether the page at ``start`` has a checksum. Raises PageHeaderError."""
    return _CRC in _header(read, start)[0].numbers


@dataclass
class _Fields:
    """What matters of a thrift struct, by field number: i32 numbers, and structs."""

    numbers: dict[int, int] = field(default_factory=dict)
    structs: dict[int, "_Fields"] = field(default_factory=dict)


def _header(read: Read, start: int) -> tuple[_Fields, int]:
    """The header at ``start`` and its length."""
    for size in _PEEK_BYTES:
        data = read(start, size)
        try:
            return _struct(data, 0, 0)
        except IndexError:
            if len(data) < size:
                break
    raise PageHeaderError("a page header is cut short")


def _struct(data: bytes, i: int, depth: int) -> tuple[_Fields, int]:
    """The struct at ``i``, and where it ends. Raises IndexError where ``data`` ends."""
    fields = _Fields()
    number = 0
    while data[i]:
        kind, step = data[i] & 15, data[i] >> 4
        i += 1
        if step:
            number += step
        else:
            number, i = _signed(data, i)
        if kind in (_I32, 4, 6):  # 4 and 6 are i16 and i64, which PageHeader has none of
            value, i = _signed(data, i)
            if kind == _I32:
                fields.numbers[number] = ((value + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
        elif kind == _STRUCT:
            if depth == _MOST_DEPTH:
                raise PageHeaderError("a page header is nested too deep")
            fields.structs[number], i = _struct(data, i, depth + 1)
        elif kind == 8:  # bytes
            length, i = _varint(data, i)
            i += length
        elif kind in (3, 7):  # one byte; double
            i += 1 if kind == 3 else 8
        elif kind not in (1, 2):  # true, false
            raise PageHeaderError("a page header is damaged")
    return fields, i + 1


def _varint(data: bytes, i: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[i]
        i += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, i
        shift += 7
        if shift > 63:
            raise PageHeaderError("a page header is damaged")


def _signed(data: bytes, i: int) -> tuple[int, int]:
    value, i = _varint(data, i)
    return (value >> 1) ^ -(value & 1), i
