"""Tests mirror the tree: tests/X/test_Y.py is about the module or package X/Y, but for kinds that are named here."""

from collections.abc import Iterable
from pathlib import Path

from tests.conftest import ROOT

# Folders of tests that are of no one module.
KINDS = {
    "faults": "runs that are killed again and again",
    "fuzz": "damaged and hostile files of every format through the commands",
    "golden": "losses as they were computed before",
    "train/end_to_end": "commands from their input to what they leave",
}
# Files of tests that are about several modules at once.
OF_SEVERAL = {
    "embeddings/index/test_kills.py": "a live index's writer that is killed",
    "embeddings/kernels/make_attention/test_implementations.py": "what every implementation must do",
    "embeddings/kernels/make_attention/test_oracle.py": "the gradients that the other tests rest on",
    "embeddings/kernels/make_attention/test_threads.py": "that a target's numbers are its own",
    "embeddings/kernels/make_attention/test_wrong_variants.py": "that the tests notice wrong kernels",
    "embeddings/kernels/simtier/test_cosines.py": "the similarities that SimTier leaves, in every implementation",
    "embeddings/kernels/simtier/test_implementations.py": "what every implementation must do",
    "embeddings/kernels/simtier/test_sizes.py": "sizes of the inputs, in every implementation",
    "embeddings/kernels/simtier/test_tier_edges.py": "similarities that rounding decides about",
    "embeddings/kernels/simtier/test_wrong_variants.py": "that the tests notice wrong kernels",
    "embeddings/kernels/target_attention/test_implementations.py": "what every implementation must do",
    "embeddings/kernels/target_attention/test_wrong_variants.py": "that the tests notice wrong kernels",
    "embeddings/kernels/test_triton.py": "simtier/triton.py and make_attention/triton.py, compiled and interpreted",
    "recsys/exported/test_quantised_inputs.py": "tables of fewer bits, from their files to a model's first layer",
    "recsys/models/test_overlap.py": "exchanges of frozen rows that are under way while IDs are looked up",
    "test_layout.py": "the tree",
    "test_live_docs.py": "docs/live.md",
    "test_source.py": "the source of all modules",
    "test_mirror.py": "the tree",
    "test_pins.py": "requirements/",
    "test_readme.py": "README.md",
    "test_security.py": "docs/security.md",
    "test_serving_docs.py": "docs/serving.md",
    "train/test_setting_bounds.py": "the settings of every command",
    "torchx_components/test_schedulers.py": "every component under every scheduler",
}


def without_a_module(tests: Iterable[str], root: Path) -> list[str]:
    """The ``tests``, paths below tests/, for which neither the tree nor tests/ has a module or package of that name."""
    wrong = []
    for test in tests:
        folder, name = Path(test).parent, Path(test).stem.removeprefix("test_")
        places = [
            top / folder / end for top in (root, root / "tests") for end in (f"{name}.py", f"__{name}__.py", name)
        ]
        if not any(test.startswith(f"{kind}/") for kind in KINDS) and not any(p.exists() for p in places):
            wrong.append(test)
    return wrong


def test_a_file_in_the_wrong_place_is_seen(tmp_path: Path):
    (tmp_path / "train" / "data" / "stats").mkdir(parents=True)
    for name in ("reader.py", "__main__.py"):
        (tmp_path / "train" / "data" / name).touch()
    right = ["train/data/test_reader.py", "train/data/test_main.py", "train/data/test_stats.py", "faults/test_kills.py"]
    wrong = ["train/test_reader.py", "train/data/test_reader_input.py"]
    assert without_a_module([*right, *wrong], tmp_path) == wrong


def test_tests_mirror_the_tree():
    tests = sorted(str(p.relative_to(ROOT / "tests")) for p in (ROOT / "tests").rglob("test_*.py"))
    assert without_a_module(tests, ROOT) == sorted(OF_SEVERAL), "move it to its module's place, or say why not"
