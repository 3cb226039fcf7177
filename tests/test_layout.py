"""The tree's rules: one-way imports, no circles, a light command line, ASCII, small files that say what they are."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from train.__main__ import COMMANDS

# Lowest first: a package imports itself and the layers before its own, and not what stands beside it.
LAYERS = (("embeddings.kernels",), ("embeddings",), ("recsys",), ("train", "serve"))
# What stands in train -> what it imports of train besides itself. Whoever adds a folder says here what it is above.
GENERIC = ("checkpoint", "config", "data", "distributed", "run")
INSIDE_TRAIN: dict[str, tuple[str, ...]] = {
    "config": (),
    "config_docs": (),
    "distributed": ("config",),
    "checkpoint": ("distributed",),
    "run": ("checkpoint", "config", "distributed"),
    "data": ("run",),
    "ctr": GENERIC,
    "scl": GENERIC,
    "encoding": GENERIC,
    "report": ("config", "ctr", "run"),
    "export": (*GENERIC, "ctr"),
    "nearline": (*GENERIC, "ctr", "export"),
    "commands": (*GENERIC, "config_docs", "ctr", "scl", "encoding", "report", "export", "nearline"),
    "__main__": ("commands", "distributed"),
}
# Commands, not modules: what starts here may look up at the run that it is about, and nothing imports it.
FRONT_DOORS = {"embeddings.plan"}
# Packages that hand out names of their own modules to those who ask: ``from serve import Scorer``.
FACADES = {"serve/__init__.py"}
OUTSIDE = ("benchmarks", "torchx_components", "tests")
HEAVY = ("torch", "torchrec", "fbgemm_gpu", "pyarrow", "matplotlib", "tensorboard", "triton", "pandas", "scipy")
MAX_LINES = 300
VAGUE_NAMES = {"utils", "util", "common", "helpers", "helper", "misc"}

MODULES = sorted(p for top in ("embeddings", "recsys", "train", "serve", *OUTSIDE) for p in (ROOT / top).rglob("*.py"))
TEXTS = [ROOT / "Makefile", ROOT / ".ci" / "run", *ROOT.glob("*.cfg"), *ROOT.glob("*.toml"), ROOT / "setup.py"]
TEXTS += [p for top in ("requirements", "configs") for p in (ROOT / top).rglob("*") if p.is_file()]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def layer(module: str) -> tuple[int, str] | None:
    """The place of a dotted name in LAYERS and the package there; None for everything else."""
    packages = ((i, top) for i, beside in enumerate(LAYERS) for top in beside)
    return next(((i, top) for i, top in packages if module == top or module.startswith(top + ".")), None)


def part_of_train(module: str) -> str | None:
    """The folder or module right below train that a dotted name is in; None for everything else."""
    return module.split(".")[1] if module.startswith("train.") else None


def imports(source: str, package: str) -> Iterator[str]:
    """Every dotted name that ``source`` imports, at any depth; relative ones resolved against ``package``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = parts[: len(parts) + 1 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def wrong_imports(source: str, module: str, package: str) -> list[str]:
    level, own_package = layer(module) or (len(LAYERS), "")
    part = part_of_train(module)
    allowed = (part, *INSIDE_TRAIN[part]) if part else ()
    wrong = []
    for imported in imports(source, package):
        other, other_part = layer(imported), part_of_train(imported)
        # The errors are the one thing that every layer shares.
        upwards = other is not None and other[0] > level and not imported.startswith("embeddings.errors.")
        upwards = upwards and module not in FRONT_DOORS
        beside = other is not None and other[0] == level and other[1] != own_package
        beside = beside or bool(part and other_part and other_part not in allowed)
        door = any(imported == door or imported.startswith(door + ".") for door in FRONT_DOORS)
        outside = imported.split(".")[0] in OUTSIDE and level < len(LAYERS)
        torchrec = level == 0 and imported.split(".")[0] == "torchrec"
        command = other_part == "commands" and not part and module not in FRONT_DOORS
        if upwards or beside or door or outside or torchrec or command:
            wrong.append(imported)
    return wrong


def test_wrong_imports_are_seen():
    source = "import train.ctr.trainer\n"
    source += "from recsys import batch\ndef f():\n    from torchrec import x\nfrom ..frozen import store"
    seen = wrong_imports(source, "embeddings.kernels.registry", "embeddings.kernels")
    assert sorted(seen) == ["embeddings.frozen.store", "recsys.batch", "torchrec.x", "train.ctr.trainer"]
    assert wrong_imports("from train import config", "embeddings.plan", "embeddings") == []
    assert wrong_imports("from embeddings import plan", "train.commands.ctr", "train") == ["embeddings.plan"]
    assert wrong_imports("from embeddings.tables import x\nimport torch", "recsys.models.ctr", "recsys") == []
    assert wrong_imports("from train import config\nimport recsys.batch", "serve.app", "serve") == ["train.config"]
    assert wrong_imports("import serve.app", "train.ctr.task", "train.ctr") == ["serve.app"]
    assert wrong_imports("import train.commands.env", "benchmarks.data.x", "benchmarks.data") == ["train.commands.env"]
    assert wrong_imports("from train.ctr import task\nimport tests.x", "benchmarks.data.x", "benchmarks.data") == []


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        *((f"train.{part}.x", f"train.{top}.y") for part in GENERIC for top in
          ("ctr", "scl", "encoding", "report", "commands")),
        *(("train.ctr.x", f"train.{top}.y") for top in ("scl", "encoding", "report", "commands")),
        *(("train.scl.x", f"train.{top}.y") for top in ("ctr", "encoding", "report", "commands")),
        ("train.checkpoint.x", "train.run.task"),
        ("train.run.x", "train.data.reader"),
        ("train.report.x", "train.commands.report"),
        ("train.commands.x", "train.__main__"),
    ],
)  # fmt: skip
def test_wrong_imports_inside_train_are_seen(module: str, imported: str):
    package = module.rpartition(".")[0]
    assert wrong_imports(f"from . import y\nimport {imported}\nimport recsys.batch", module, package) == [imported]


def dotted(path: Path) -> tuple[str, str]:
    """A file's module, and the package that its relative imports start from."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    package = ".".join(parts[:-1])
    return (package if parts[-1] == "__init__" else ".".join(parts)), package


@pytest.mark.parametrize("path", [p for p in MODULES if p.relative_to(ROOT).parts[0] != "tests"], ids=name)
def test_imports_go_one_way(path: Path):
    assert wrong_imports(path.read_text(), *dotted(path)) == []


def named_modules(source: str) -> Iterator[str]:
    """The dotted names of "package.module" and "package.module:Name" among the string constants of ``source``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            module = node.value.partition(":")[0]
            if "." in module:
                yield module


def circles(sources: dict[tuple[str, str], str]) -> list[list[str]]:
    """The strongly connected components of more than one module, and modules that import themselves; names sorted.

    Args:
        sources: (module, package) -> its text. Imports under TYPE_CHECKING and inside functions count, and so do a
            string that names another module of ``sources`` and the ``__init__`` of each package that an import enters.
    """
    modules = {module for module, _ in sources}

    def imported_modules(source: str, module: str, package: str) -> set[str]:
        """The longest module that each imported name begins with, those named in strings, and all their packages."""
        names = [imported.split(".") for imported in imports(source, package)]
        starts = ([".".join(n[:i]) for i in range(len(n), 0, -1)] for n in names)
        found = {longest for s in starts if (longest := next((m for m in s if m in modules), None))}
        found |= {name for name in named_modules(source) if name in modules} - {module}
        packages = {".".join(parts[:i]) for m in found if (parts := m.split(".")) for i in range(1, len(parts))}
        return found | (packages & modules - {module})

    graph = {module: imported_modules(source, module, package) for (module, package), source in sources.items()}

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [*graph[start]]
        while waiting:
            module = waiting.pop()
            if module not in seen:
                seen.add(module)
                waiting += graph[module]
        return seen

    after = {module: reachable(module) for module in graph}
    cycles = {frozenset(m for m in after[module] if module in after[m]) for module in graph if module in after[module]}
    return sorted(sorted(circle) for circle in cycles)


def test_circles_are_seen():
    sources = {
        ("a", ""): "import b.c",
        ("b", "b"): "",
        ("b.c", "b"): "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from b.d import x",
        ("b.d", "b"): "def f():\n    from .c import y\n    import a.nothing",
        ("e", ""): "from b import d",
        ("f", ""): "import f",
    }
    assert circles(sources) == [["a", "b.c", "b.d"], ["f"]]
    assert circles({k: v for k, v in sources.items() if k[0] not in ("b.c", "f")}) == []


def test_circles_over_a_string_or_the_init_of_a_package_are_seen():
    assert circles({("p.a", "p"): "X = 'p.b:Y'", ("p.b", "p"): "import p.a"}) == [["p.a", "p.b"]]
    assert circles({("p.a", "p"): "X = 'p.b'", ("p.b", "p"): "import p.a"}) == [["p.a", "p.b"]]
    assert circles({("p.a", "p"): "X = 'p.a', 'p.b is', 'p'", ("p.b", "p"): "import p.a", ("p", "p"): ""}) == []
    package = {("p", "p"): "from p.a import x", ("p.b", "p"): "", ("q", ""): "import p.b"}
    assert circles(package | {("p.a", "p"): "from p.b import y"}) == [["p", "p.a"]]
    assert circles(package | {("p.a", "p"): "import os"}) == []


def test_no_module_imports_itself_in_a_circle():
    tree = [p for p in MODULES if p.relative_to(ROOT).parts[0] != "tests" and name(p) not in FACADES]
    assert circles({dotted(path): path.read_text() for path in tree}) == []


def heavy_after(*arguments: str, command: str = "train.__main__.main") -> tuple[int, list[str]]:
    """The exit status of a command line with these arguments, and which heavy packages it had imported."""
    module, _, name = command.rpartition(".")
    script = f"""
import sys
sys.argv = ["train", *{list(arguments)!r}]
from train.__main__ import run
from {module} import {name}
status = run({name})
print("HEAVY", status, *[m for m in {HEAVY!r} if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    _, status, *heavy = done.stdout.splitlines()[-1].split()
    return int(status), heavy


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_light(command: str):
    assert heavy_after(command, "--help") == (0, [])


def test_help_of_the_planner_is_light():
    assert heavy_after("--help", command="train.commands.plan.command") == (0, [])


def test_check_is_light(tmp_path: Path):
    (tmp_path / "schema.yaml").write_text(
        "user: user\ntables: {item: {num_embeddings: 10}}\nfeatures: [{name: item, kind: id, table: item}]\n"
    )
    (tmp_path / "run.yaml").write_text(f"data: {{path: {tmp_path}}}\n")
    assert heavy_after("check", "--config", str(tmp_path / "run.yaml")) == (0, [])


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_module_is_small_plain_and_says_what_it_is(path: Path):
    text = path.read_bytes().decode("ascii")
    assert len(text.splitlines()) <= MAX_LINES
    assert not text or ast.get_docstring(ast.parse(text)), "the first line says what the module is"
    assert not VAGUE_NAMES & set(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_text_is_ascii(path: Path):
    assert path.read_bytes().isascii()
