"""Types of command-line options that are paths, or become such: checked before any work, ~ filled in everywhere."""

from embeddings.command_line import CheckedText
from embeddings.files.file_name import file_name
from embeddings.files.local_path import local_path, with_home
from embeddings.files.output_path import output_file, output_folder, output_place


def _store(path: str) -> str:
    return path if "://" in path else output_folder(with_home(path))  # addresses are iopath's


SPLIT = CheckedText(file_name)
INPUT = CheckedText(local_path)
INPUT_STORE = CheckedText(with_home)
OUTPUT_FILE = CheckedText(lambda path: output_file(local_path(path)))
OUTPUT_FOLDER = CheckedText(lambda path: output_folder(local_path(path)))  # one that appears as a whole
OUTPUT_STORE = CheckedText(_store)
OUTPUT_PLACE = CheckedText(lambda path: output_place(local_path(path)))  # a folder that files are put into
