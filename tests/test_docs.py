"""The documents say what the code says."""

from pathlib import Path

import pytest

from benchmarks.planner.scaling import page as scaling_page
from embeddings.planner.hardware import Hardware, Speed, shipped_hardware
from recsys.schema import Schema
from train.config_docs import describe
from train.ctr.config import Config

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("page", "model", "title"),
    [("config", Config, "Settings of a run"), ("data", Schema, "Fields of schema.yaml")],
)
def test_settings_pages_are_generated(page: str, model: type, title: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    assert describe(model, title).strip() in text, f"docs/{page}.md is stale: python -m train check --describe"


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_paths_named_in_documents_exist(page: str) -> None:
    for line in (ROOT / page).read_text().splitlines():
        for word in line.replace("`", " ").replace("(", " ").replace(")", " ").replace(",", " ").split():
            if "/" in word and word.endswith((".py", ".md", ".yaml")) and not word.startswith(("http", "mydata")):
                name = word.split(":")[0].rstrip(".:;")
                there = (ROOT / name).exists() or ((ROOT / page).parent / name).exists()
                assert there or "NAME" in word, f"{page} names {word}"


def test_scaling_page_is_what_the_planner_says() -> None:
    assert (ROOT / "docs" / "scaling.md").read_text() == scaling_page(), "stale: python -m benchmarks.planner.scaling"


def test_every_shipped_part_and_key_is_documented() -> None:
    text = (ROOT / "docs" / "planner.md").read_text()
    for name in [*shipped_hardware(), *(name for kind in (Hardware, Speed) for name in kind.model_fields)]:
        assert f"`{name}`" in text, name


def test_the_picture_of_the_tree_has_every_folder() -> None:
    """CONTRIBUTING.md: a line for each package, and below it one that begins with each package in it."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    picture = text[text.index("\n    embeddings/ ") : text.index("\n\n**A kind of training**")].split("\n    ")
    for top in ("embeddings", "recsys", "train", "serve"):
        begin = next(i for i, line in enumerate(picture) if line.startswith(f"{top}/ "))
        below = []
        for line in picture[begin + 1 :]:
            if not line.startswith("  "):
                break
            below += [word.rstrip("/") for word in line.split() if word.endswith("/")]
        folders = {path.parent.name for path in (ROOT / top).glob("*/__init__.py")}
        assert folders <= set(below), f"CONTRIBUTING.md, {top}/: not in the picture"
