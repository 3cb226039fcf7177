"""Tables in documents come from rows, and only from rows."""

from pathlib import Path

import pytest

from benchmarks import render as command
from benchmarks.paper.tables import PAPER_DATA
from benchmarks.render import TABLES, documents, main, render, rewrite
from embeddings.errors import InputError
from tests.benchmarks.table_cells import cells

SIZES = {"rows": 10, "disk_bytes": 1, "decoded_bytes": 1, "limit_bytes": 1, "peak_bytes": 1, "slope_bytes_per_mrow": 0}


def marked(name: str, body: str = "stale\n") -> str:
    return f"<!-- table: {name} -->\n{body}<!-- end -->"


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A folder of documents with a stale table in each."""
    (tmp_path / "docs").mkdir()
    for path in (tmp_path / "README.md", tmp_path / "docs" / "speed.md"):
        path.write_text(f"a\n\n{marked('memory')}\n\nb\n")
    return tmp_path


def test_only_what_is_between_the_markers_is_written():
    text = render(f"a\n{marked('memory')}\nb\n{marked('memory')}", lambda source: [SIZES])
    assert text.startswith("a\n<!-- table") and text.endswith("<!-- end -->") and "stale" not in text
    assert text.count("<!-- end -->\nb\n<!-- table") == 1 and len(cells(text)) == 6
    assert render(text, lambda source: [SIZES]) == text


def test_tables_are_written_in_every_document(pages: Path, monkeypatch):
    monkeypatch.setattr(command, "read", lambda source: [SIZES])
    assert rewrite(check=True, root=pages) == ["README.md", "docs/speed.md"]
    assert "stale" in (pages / "README.md").read_text()
    assert rewrite(root=pages) == ["README.md", "docs/speed.md"]
    for document in documents(pages):
        assert cells(document.read_text())[2][0] == "10"
    assert rewrite(check=True, root=pages) == []


def test_no_rows_unknown_tables_and_markers_without_an_end(pages: Path):
    assert "Not measured yet" in render(marked("memory"), lambda source: [])
    (pages / "docs" / "speed.md").write_text(marked("memry"))
    with pytest.raises(InputError, match=r"docs/speed.md: table 'memry' is unknown; did you mean 'memory'"):
        rewrite(check=True, root=pages)
    open_ended = "<!-- table: memory -->\n" + marked("conversion")
    with pytest.raises(InputError, match="table 'memory' has no end; write <!-- end --> behind it"):
        render(open_ended, lambda source: [])


def test_a_stale_document_is_status_1(monkeypatch, capsys):
    monkeypatch.setattr(command, "rewrite", lambda check: ["docs/speed.md"])
    assert main.main(["--check"], standalone_mode=False) == 1
    assert "docs/speed.md; run 'python -m benchmarks.render'" in capsys.readouterr().err
    assert main.main([], standalone_mode=False) == 0


def test_the_documents_are_what_their_rows_say():
    assert rewrite(check=True) == [], "stale; run python -m benchmarks.render"


def test_every_table_stands_in_a_document():
    text = "".join(document.read_text() for document in documents())
    for_some_data = tuple(f"{data}_" for data in PAPER_DATA)  # figures that were not trained stand nowhere
    assert [n for n in TABLES if not n.startswith(for_some_data) and f"<!-- table: {n} -->" not in text] == []


def test_the_brief_table_has_no_picture_and_no_model_that_is_not_trained():
    row = {"data": "microlens", "model": "none", "seed": 0, "gauc": 0.6, "auc": 0.7}
    text = render(marked("microlens"), lambda source: [row])
    assert "| ID | 0.6000 | 0.7000 |" in text
    assert "svg" not in text, "a picture's path is one from docs"
    assert "Vector" not in text, "not trained"
