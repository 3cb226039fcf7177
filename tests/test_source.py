"""Rules of the source: only the models ask which architecture one is; parquet has one reader; ignores have reasons."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

from recsys.models.registry import ARCHITECTURES
from tests.conftest import ROOT
from tests.test_layout import MODULES, name

# The same model in plain PyTorch, so DIN alone by purpose.
OF_ONE_ARCHITECTURE = {"benchmarks/peers/pytorch_baseline.py", "benchmarks/peers/plain_scorer.py"}


def questions_of_architecture(source: str) -> list[int]:
    """Lines that compare what is called arch with the name of an architecture, or import what is one architecture's."""
    lines = []
    own = {place.partition(":")[0] for a in ARCHITECTURES.values() for place in (a.config, a.module)}
    for node in ast.walk(ast.parse(source)):
        compared = node if isinstance(node, ast.Compare | ast.Match) else None
        if compared is not None and any(
            isinstance(n, ast.Constant) and n.value in ARCHITECTURES for n in ast.walk(compared)
        ):
            names = {
                n.attr if isinstance(n, ast.Attribute) else n.id
                for n in ast.walk(compared)
                if isinstance(n, ast.Attribute | ast.Name)
            }
            strings = {n.value for n in ast.walk(compared) if isinstance(n, ast.Constant)}
            if "arch" in names or strings & {"arch", "model.arch"}:
                lines.append(compared.lineno)
        if isinstance(node, ast.ImportFrom) and (
            node.module in own or own & {f"{node.module}.{a.name}" for a in node.names}
        ):
            lines.append(node.lineno)
    return sorted(lines)


def test_questions_of_architecture_are_seen():
    source = """if model.arch == "din" or other == "din": pass
x = settings.get("model.arch", "din") == "din"
match config.arch:
    case "make": pass
from recsys.models.din_config import DINConfig
from recsys.models import make_alone
if command == "make" or "make" in mode or model.arch == other: pass
from recsys.models.make import MAKE
"""
    assert questions_of_architecture(source) == [1, 2, 3, 5, 6]


@pytest.mark.parametrize("path", [p for p in MODULES if not name(p).startswith(("recsys/models", "tests"))], ids=name)
def test_only_the_models_ask_which_architecture_it_is(path: Path):
    assert bool(questions_of_architecture(path.read_text())) == (name(path) in OF_ONE_ARCHITECTURE)


# What they parse is in no file: what another process said, or what a library gives as text.
PARSES_JSON = {
    "embeddings/files/json_file.py": "the one reader of files",
    "recsys/scl/encoders/tokenizer.py": "a tokenizer that was just made",
    "train/distributed/heartbeat.py": "a rank's word in the store",
    "train/run/versions.py": "a process of ours",
}


def test_one_module_reads_json_files():
    """The parser ends in RecursionError where brackets nest deeply, and read_json alone knows that."""
    parsers = {"json.load(", "json.loads(", "yaml.load(", "yaml.safe_load("}
    product = [p for p in MODULES if name(p).startswith(("embeddings", "recsys", "train"))]
    assert {name(p) for p in product if any(parser in p.read_text() for parser in parsers)} == PARSES_JSON.keys()


def unexplained_ignores(source: str) -> list[int]:
    """Lines whose ``type: ignore`` names no code, or has no reason: words behind it, or a comment on the line above."""
    comments = {
        token.start[0]: token.string
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    lines = source.splitlines()
    wrong = []
    for number, comment in comments.items():
        if "type: ignore" in comment:
            found = re.search(r"type: ignore\[[a-z, -]+\](.*)", comment)
            above = number > 1 and lines[number - 2].lstrip().startswith("# ")
            if found is None or not (above or re.search(r"# \w+ \w+", found[1])):
                wrong.append(number)
    return wrong


def test_unexplained_ignores_are_seen():
    source = """x = f()  # type: ignore
y = f()  # type: ignore[arg-type]
z = f()  # type: ignore[arg-type]  # fmt: skip
a = f()  # type: ignore[arg-type]  # its annotations lack it
# its annotations lack it
b = f()  # type: ignore[arg-type, misc]
c = "# type: ignore"
"""
    assert unexplained_ignores(source) == [1, 2, 3]


@pytest.mark.parametrize("path", [*MODULES, ROOT / "setup.py"], ids=name)
def test_what_the_type_checker_ignores_has_a_reason(path: Path):
    assert unexplained_ignores(path.read_text()) == []


def writers_without_checksums(source: str) -> list[int]:
    """Lines that write parquet, or open a writer, without page checksums."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        named = node.func if isinstance(node, ast.Call) else None
        if isinstance(named, ast.Attribute) and ast.unparse(named) in ("pq.write_table", "pq.ParquetWriter"):
            assert isinstance(node, ast.Call)
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if given.get("write_page_checksum") != "True":
                lines.append(node.lineno)
    return lines


def test_writers_without_checksums_are_seen():
    source = """pq.write_table(t, p)
pq.write_table(t, p, write_page_checksum=True)
with pq.ParquetWriter(p, s, write_page_checksum=False) as w:
    w.write_table(t)
"""
    assert writers_without_checksums(source) == [1, 3]


@pytest.mark.parametrize("path", [p for p in MODULES if not name(p).startswith("tests")], ids=name)
def test_parquet_is_written_with_page_checksums(path: Path):
    assert writers_without_checksums(path.read_text()) == []


# What reads parquet past these: pyarrow takes a dot in a column's name for a path, "item=7" in a
# file's path for a column, and allocates what a file asks for.
READS_PARQUET = {
    "embeddings/files/parquet_batches.py",
    "embeddings/files/parquet_footer.py",
    "benchmarks/peers/fuxictr/convert.py",
}
PARQUET_READERS = r"pq\.(ParquetFile|ParquetDataset|read_\w+)\b|iter_batches|pyarrow\.dataset"


@pytest.mark.parametrize("path", [p for p in MODULES if not name(p).startswith("tests")], ids=name)
def test_parquet_is_read_in_one_place(path: Path):
    assert bool(re.search(PARQUET_READERS, path.read_text())) == (name(path) in READS_PARQUET)
