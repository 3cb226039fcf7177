"""A case of the fuzzer: what a format's mutator made, which commands read it, and whether they may succeed."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Command = Sequence[object]


@dataclass(frozen=True)
class Case:
    """Commands that run one after the other in the case's folder, until one ends with a status other than 0.

    refused   why status 0 of the last one is a failure; None where it may be harmless
    unless    words on standard error with which status 0 is right all the same
    anywhere  whether the case itself names places outside its folder, as settings may
    """

    commands: list[Command]
    refused: str | None = None
    unless: str | None = None
    anywhere: bool = False


@dataclass(frozen=True)
class Format:
    """A kind of input.

    needs   folders and files of the corpus that a case's folder begins with a copy of
    make    mutates what lies in the folder, the current one, by the generator, and says what is run on it
    """

    name: str
    needs: Sequence[str]
    make: Callable[[Path, random.Random], Case]


def generator(seed: int, name: str, number: int) -> random.Random:
    """The random generator of case ``number`` of a format."""
    return random.Random(f"{seed}/{name}/{number}")
