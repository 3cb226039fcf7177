"""A mutation: a setting, a source text that gives it its effect, and what that text becomes."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutation:
    """One setting, broken.

    settings  dotted keys that lose their effect or get a wrong one; ``scl: key`` for those of contrastive learning
    file      path in the tree
    text      source text, which is in the file exactly once
    becomes   what stands there instead
    tests     what is run against it: files, or tests in pytest's notation
    """

    settings: tuple[str, ...]
    file: str
    text: str
    becomes: str
    tests: tuple[str, ...]

    def concerns(self, key: str) -> bool:
        """Whether ``key`` is one of the settings, or a section with one of them."""
        return any(s == key or s.startswith(f"{key}.") for s in self.settings)

    def applied(self, root: Path) -> str:
        """The file's text with the mutation in it. Raises ValueError where the source has changed."""
        path = root / self.file
        source = path.read_text() if path.is_file() else ""
        if (times := source.count(self.text)) != 1:
            raise ValueError(
                f"mutation of {', '.join(self.settings)}: the text is {times} times in {self.file}, wanted once; "
                f"bring the table in tests/mutations up to date: {self.text!r}"
            )
        return source.replace(self.text, self.becomes)


def mutation(settings: str, file: str, text: str, becomes: str, *tests: str) -> Mutation:
    """A mutation whose ``settings`` are separated by commas and whose ``tests`` are below tests/."""
    keys = tuple(key.strip() for key in settings.split(","))
    return Mutation(keys, file, text, becomes, tuple(f"tests/{test}" for test in tests))
