"""The documents say what the code says."""

from pathlib import Path

import pytest

from recsys.schema import Schema
from train.config import Config
from train.describe import describe

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("page", "model", "title"),
    [("config", Config, "Settings of a run"), ("data", Schema, "Fields of schema.yaml")],
)
def test_settings_pages_are_generated(page: str, model: type, title: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    assert describe(model, title).strip() in text, f"docs/{page}.md is stale: python -m train check --describe"


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "docs/data.md", "docs/config.md", "docs/launching.md"]
)
def test_paths_named_in_documents_exist(page: str) -> None:
    for line in (ROOT / page).read_text().splitlines():
        for word in line.replace("`", " ").replace("(", " ").replace(")", " ").replace(",", " ").split():
            if "/" in word and word.endswith((".py", ".md", ".yaml")) and not word.startswith(("http", "mydata")):
                here = ROOT / word.split(":")[0].rstrip(".:;")
                assert here.exists() or "VERB" in word or "NAME" in word, f"{page} names {word}"
