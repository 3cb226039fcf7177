"""Pickles read as plain data: nothing that a pickle names is imported, called or made.

Earlier versions' checkpoints hold pickles, and a pickle is a program. Here its instructions are followed on plain
values: numbers, texts, tuples, lists, dicts, and in place of classes and calls what the pickle says of them.
"""

import pickletools
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Name:
    """A class or function that a pickle names, such as torch.Size."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Call:
    """What ``name(*arguments)`` would be, and the state that is put into it. As a dict's key it is like no other."""

    name: Any
    arguments: Any
    state: Any = field(default=None)


@dataclass(eq=False)
class Persistent:
    """What a pickle leaves to its reader: the storage of a tensor, by torch."""

    about: Any


_VALUES = frozenset("BININT BININT1 BININT2 LONG1 BINFLOAT SHORT_BINUNICODE BINUNICODE".split())
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS, _GETS = frozenset({"BINPUT", "LONG_BINPUT"}), frozenset({"BINGET", "LONG_BINGET"})


def read_pickle(data: bytes) -> Any:
    """The plain values of a pickle that torch has written. Takes memory in proportion to ``data``.

    One value may stand at many places of another, so that to walk through all of it may take for ever.

    Raises ValueError where it is none, is cut short, or has instructions that torch's have not.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[Any, Any] = {}  # by number

    def above_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    try:
        for opcode, argument, _ in pickletools.genops(data):
            name = opcode.name
            if name in ("PROTO", "FRAME"):
                continue
            if name in _VALUES:
                stack.append(argument)
            elif name == "MEMOIZE":
                memo[len(memo)] = stack[-1]
            elif name in _PUTS:
                memo[argument] = stack[-1]
            elif name in _GETS:
                stack.append(memo[argument])
            elif name == "MARK":
                marks.append(len(stack))
            elif name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            elif name in _TUPLES:
                stack[-_TUPLES[name] :] = [tuple(stack[-_TUPLES[name] :])]
            elif name == "TUPLE":
                stack.append(tuple(above_mark()))
            elif name == "EMPTY_LIST":
                stack.append([])
            elif name == "EMPTY_DICT":
                stack.append({})
            elif name == "APPEND":
                _append(stack, [stack.pop()])
            elif name == "APPENDS":
                _append(stack, above_mark())
            elif name == "SETITEM":
                value, key = stack.pop(), stack.pop()
                _set(stack, [key, value])
            elif name == "SETITEMS":
                _set(stack, above_mark())
            elif name == "GLOBAL":
                stack.append(Name(*_text(argument).split(" ", 1)))
            elif name == "STACK_GLOBAL":
                member, module = stack.pop(), stack.pop()
                stack.append(Name(_text(module), _text(member)))
            elif name in ("REDUCE", "NEWOBJ"):
                arguments, called = stack.pop(), stack.pop()
                stack.append(Call(called, arguments))
            elif name == "BUILD":
                state = stack.pop()
                _call(stack).state = state
            elif name == "BINPERSID":
                stack.append(Persistent(stack.pop()))
            elif name == "STOP":
                return stack.pop()
            else:
                raise ValueError(f"a pickle with the instruction {name}, which torch does not write")
    except (IndexError, KeyError, TypeError, OverflowError) as error:
        raise ValueError("a pickle whose instructions do not fit together") from error
    raise ValueError("a pickle that has no end")


def _append(stack: list[Any], items: list[Any]) -> None:
    if not isinstance(stack[-1], list):
        raise TypeError("no list")
    stack[-1].extend(items)


def _set(stack: list[Any], items: list[Any]) -> None:
    """Keys are texts, numbers or calls: to hash tuples of tuples may take for ever."""
    if not isinstance(stack[-1], dict) or not all(isinstance(key, str | int | Call) for key in items[::2]):
        raise TypeError("no dict, or no key")
    stack[-1].update(zip(items[::2], items[1::2], strict=True))


def _call(stack: list[Any]) -> Call:
    if not isinstance(stack[-1], Call):
        raise TypeError("no object")
    return stack[-1]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value
