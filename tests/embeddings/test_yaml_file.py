"""The reader of YAML files: interpolations, the words that are truth values, files that are none."""

import pytest

from embeddings.errors import InputError
from embeddings.yaml_file import parse_yaml, read_yaml


def test_interpolations_are_resolved(tmp_path):
    (tmp_path / "a.yaml").write_text("root: runs\nplace: ${root}/a\nsizes: [1, 2.5]\n")
    assert read_yaml(tmp_path / "a.yaml", "file") == {"root": "runs", "place": "runs/a", "sizes": [1, 2.5]}
    (tmp_path / "a.yaml").write_text("")
    assert read_yaml(tmp_path / "a.yaml", "file") == {}


def test_only_true_and_false_are_truth_values():
    assert parse_yaml("[true, False, on, off, yes, No]") == [True, False, "on", "off", "yes", "No"]
    assert parse_yaml("1e-3") == 0.001


def test_what_is_no_yaml_is_one_line_that_names_the_file(tmp_path):
    (tmp_path / "a.yaml").write_text("a: [1,\nb: {")
    with pytest.raises(InputError, match=r"^hardware file '.*a\.yaml' is not readable YAML: ") as caught:
        read_yaml(tmp_path / "a.yaml", "hardware file")
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError):
        read_yaml(tmp_path / "b.yaml", "hardware file")
