"""YAML files of settings: one bounded reader, one writer, for configs, schemas, pairs, hardware and assumptions.

What comes out is data whatever the file holds: mappings, lists, text. Tags make nothing, interpolations are refused.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from embeddings.errors import InputError, one_line, shown
from embeddings.files.atomic_file import atomic_write
from embeddings.files.plain_scalars import NULL, Plain, typed

MOST_BYTES = 4 << 20  # a schema of 500 tables takes 60 KB
MOST_VALUES = 200_000  # each repetition of an alias counts anew; a long text counts by its length
MOST_DEPTH = 50
_TEXT_OF_A_VALUE = 64  # characters that count as one value
_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAGS = (None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


def parse_yaml(text: str, where: str) -> Any:
    """The data that ``text`` writes: dicts with text as keys, lists, None, text; unquoted text is ``Plain``.

    Raises InputError, which names ``where`` and the line, for what is no YAML or repeats a key, and where there are
    more values than MOST_VALUES or deeper ones than MOST_DEPTH, before they take memory.
    """
    try:
        return _document(yaml.parse(text, Loader=_PARSER))
    except (yaml.YAMLError, _Refused, UnicodeEncodeError) as error:
        reason = " ".join(str(error).replace('in "<unicode string>", ', "").split())
        raise InputError(f"{where} is not readable YAML: {one_line(reason, 400)}") from None


def parse_plain(text: str, where: str) -> Plain:
    """``text`` as a scalar without quotes. Raises InputError, which names ``where``, where it is none that is read."""
    try:
        text.encode()
        return Plain(_filled_in(text))
    except UnicodeEncodeError:
        raise InputError(f"{where} is not UTF-8 text; rename the file, or link it under another name") from None
    except _Refused as error:
        raise InputError(f"{where}: {error}") from None


def read_yaml(path: str | Path, what: str) -> Any:
    """The data in ``path`` as ``parse_yaml`` gives it; ``validated`` makes a model of it. An empty file is no keys.

    Args:
        what: what an error calls the file, such as "hardware file".

    Raises InputError where it is no readable YAML. A missing file is for the caller to word: OSError.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(path)
    with open(path, "rb") as source:
        raw = source.read(MOST_BYTES + 1)
    where = f"{what} '{path}'"
    if len(raw) > MOST_BYTES:
        raise InputError(f"{where} has more than {MOST_BYTES >> 10:,} KiB, more than any such file; is it another one?")
    try:
        data = parse_yaml(raw.decode("utf-8-sig"), where)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(f"{where} is not readable YAML: line {line} is not UTF-8 text") from None
    return {} if data is None else data


def to_yaml(value: Any) -> str:
    """``value``, plain data, as YAML that reads back as it is."""
    return yaml.dump(value, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, sort_keys=False)


def write_yaml(path: str | Path, value: Any) -> None:
    """``value``, plain data, as YAML at ``path``, atomically. Raises OSError."""
    with atomic_write(path) as out:
        out.write(to_yaml(value).encode())


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # yaml has no types
    """Quotes what any reader of YAML might take for something else than text, and repeats what is there twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def text(self, value: str) -> yaml.ScalarNode:
        quoted = not isinstance(typed(Plain(value)), str)
        return self.represent_scalar("tag:yaml.org,2002:str", value, style="'" if quoted else None)


_Dumper.add_representer(str, _Dumper.text)
_Dumper.add_representer(Plain, _Dumper.text)


class _Refused(Exception):
    """Why a document is not read."""


@dataclass
class _Node:
    """A mapping or list that is being filled. ``key`` is a mapping's, while its value is awaited."""

    value: dict[str, Any] | list[Any]
    anchor: str | None
    before: int  # values counted before it
    key: str | None = None
    merged: list[dict[str, Any]] = field(default_factory=list)  # what "<<" names


class _Builder:
    """Data from a parser's events, with all that it may not be refused as soon as it comes."""

    def __init__(self) -> None:
        self.count = 0
        self.open: list[_Node] = []
        self.anchors: dict[str, tuple[Any, int]] = {}  # name -> value, how many values it counts as
        self.whole: Any = None

    def counted(self, values: int, line: int) -> None:
        self.count += values
        if self.count > MOST_VALUES:
            raise _Refused(f"line {line}: more than {MOST_VALUES:,} values, what aliases repeat among them")

    def add(self, value: Any, line: int) -> None:
        """Put a finished value where it belongs."""
        if not self.open:
            self.whole = value
            return
        node = self.open[-1]
        if isinstance(node.value, list):
            node.value.append(value)
        elif node.key is None:
            if not isinstance(value, str):
                raise _Refused(f"line {line}: a key is text, this is {shown(value)}; quote it")
            if value in node.value:
                raise _Refused(f"line {line}: key {shown(str(value))} is there twice; remove one")
            node.key = value if isinstance(value, Plain) and value == "<<" else str(value)
        else:
            self._set(node, node.key, value, line)
            node.key = None

    def _set(self, node: _Node, key: str, value: Any, line: int) -> None:
        assert isinstance(node.value, dict)
        if not isinstance(key, Plain):
            node.value[key] = value
            return
        node.merged += value if isinstance(value, list) else [value]
        if not all(isinstance(item, dict) for item in node.merged):
            raise _Refused(f"line {line}: '<<' takes the keys of mappings, this is {shown(value)}")

    def close(self, line: int) -> None:
        node = self.open.pop()
        if isinstance(node.value, dict):
            for other in node.merged:  # its own keys win, then the first mapping that has one
                for key, value in other.items():
                    node.value.setdefault(key, value)
        if node.anchor:
            self.anchors[node.anchor] = node.value, self.count - node.before
        self.add(node.value, line)


def _document(events: Any) -> Any:
    """The one document of a stream of events."""
    builder, documents = _Builder(), 0
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _Refused(f"line {line}: a second document begins; one file is one document")
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in builder.anchors:
                raise _Refused(f"line {line}: alias *{event.anchor} repeats nothing that is whole by then")
            value, values = builder.anchors[event.anchor]
            builder.counted(values, line)
            builder.add(value, line)
        elif isinstance(event, yaml.NodeEvent):
            if event.tag not in _TAGS:
                raise _Refused(f"line {line}: tag {shown(event.tag)} is not read; write text, numbers, lists, mappings")
            before = builder.count
            if isinstance(event, yaml.ScalarEvent):
                builder.counted(1 + len(event.value) // _TEXT_OF_A_VALUE, line)
                value = _scalar(event, line)
                if event.anchor:
                    builder.anchors[event.anchor] = value, builder.count - before
                builder.add(value, line)
            else:
                builder.counted(1, line)
                if len(builder.open) == MOST_DEPTH:
                    raise _Refused(f"line {line}: more than {MOST_DEPTH} levels are nested")
                empty: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
                builder.open.append(_Node(empty, event.anchor, before))
        elif isinstance(event, yaml.CollectionEndEvent):
            builder.close(line)
    return builder.whole


def _scalar(event: yaml.ScalarEvent, line: int) -> str | None:
    text = _filled_in(event.value, f"line {line}: ")
    if event.style or event.tag:
        return text
    return None if NULL.fullmatch(text) else Plain(text)


def _filled_in(text: str, place: str = "") -> str:
    """``text``, which may have no interpolation: one file could fill another's memory, or ask for a host's secrets."""
    if "${" in text:
        raise _Refused(f"{place}{shown(text)} has '${{', and nothing is filled in here; write the value itself")
    return text
