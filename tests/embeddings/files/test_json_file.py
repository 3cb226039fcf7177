"""The reader of JSON files: what is no JSON, not UTF-8, nested or large is one line that names the file."""

import os

import pytest

from embeddings.errors import InputError
from embeddings.files.json_file import parse_json, read_json, write_json


def test_a_file_is_read_as_it_was_written(tmp_path):
    value = {"a": [1, 2.5, None, "\u00fc"], "b": {}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json", "plan") == value
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert read_json(tmp_path / "a.json", "plan") == value
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "b.json", "plan")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b'{"a": \xff}', "can't decode byte 0xff"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 10_000, "4300"),
        (b"\xef\xbb\xbf{", "Expecting|BOM"),
    ],
)
def test_what_is_no_json_is_said_with_the_files_name(tmp_path, text: bytes, reason: str):
    path = tmp_path / "a.json"
    path.write_bytes(text)
    with pytest.raises(InputError, match=rf"^plan '.*a\.json' is not readable JSON: .*({reason})"):
        read_json(path, "plan")
    with pytest.raises(InputError, match=r"^here is not readable JSON: "):
        parse_json(text, "here")


def test_folders_and_files_too_large_are_refused_unread(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read_json(tmp_path, "plan")
    os.mkfifo(tmp_path / "pipe.json")  # nobody writes into it
    with pytest.raises(InputError, match="is no file"):
        read_json(tmp_path / "pipe.json", "plan")
    (tmp_path / "a.json").write_text(" " * 4096 + "1")
    with pytest.raises(InputError, match="more than 4 KiB"):
        read_json(tmp_path / "a.json", "plan", most_bytes=4096)
    assert read_json(tmp_path / "a.json", "plan", most_bytes=4097) == 1
