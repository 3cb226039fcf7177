"""Footers of strangers: exact columns, damage that is found."""

import contextlib
import gzip
import os
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest

import embeddings.files.parquet_footer as module
from embeddings.errors import InputError
from embeddings.files.parquet_footer import read_footer
from tests.embeddings.files.parquet_bombs import read, refusal, write


def test_structs_and_maps_take_several_places(tmp_path):
    kinds = {"a": pa.map_(pa.int64(), pa.list_(pa.int8())), "b": pa.struct([("x", pa.int8()), ("y", pa.string())])}
    table = pa.table({"a": pa.array([[(1, [2])]], kinds["a"]), "b": pa.array([None], kinds["b"]), "c": [3]})
    table = table.append_column("d", pa.array(["x"]).dictionary_encode())
    file = read_footer(write(tmp_path / "a.parquet", table))
    assert file.leaves == {"a": range(0, 2), "b": range(2, 4), "c": range(4, 5), "d": range(5, 6)}
    assert read(tmp_path / "a.parquet").equals(table)


def test_no_damage_of_a_footer_ends_the_process(tmp_path):
    """Statistics that make no sense end a process in which Python asks for their column; so each in a fork's child."""
    path = write(tmp_path / "a.parquet", pa.table({"a": [[1, 2], [], [3]], "b": [1, 2, 3]}), row_group_size=1)
    whole = path.read_bytes()
    end = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    places = [i for i in range(end, len(whole) - 8) if whole[i - 1] in (0x19, 0x29)]  # lists, histograms among them
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            for place in places:
                path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
                with contextlib.suppress(InputError):
                    file = read_footer(path)
                    [file.values(group, name) for group in range(3) for name in file.leaves]
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0 and len(places) > 10


class Keys(pe.KmsClient):
    """Wraps nothing."""

    def __init__(self, config):
        super().__init__()

    def wrap_key(self, key, name):
        return key.hex().encode()

    def unwrap_key(self, wrapped, name):
        return bytes.fromhex(wrapped.decode())


def test_a_column_that_nobody_reads_may_be_encrypted(tmp_path):
    path, table = tmp_path / "a.parquet", pa.table({"secret": [[3], [4, 5]], "a": [1, 2]})
    how = pe.EncryptionConfiguration(footer_key="f", column_keys={"c": ["secret.list.element"]}, plaintext_footer=True)
    keys = pe.CryptoFactory(Keys).file_encryption_properties(pe.KmsConnectionConfig(), how)
    with pq.ParquetWriter(path, table.schema, encryption_properties=keys, write_page_checksum=True) as writer:
        writer.write_table(table)
    file = read_footer(path)
    assert read(path, "a").equals(table.select(["a"])) and list(file.unreadable) == [0] and file.has_checksums
    assert "row group 0 of 1: column 'secret.list.element' is encrypted (" in refusal(path, "a", "secret")
    with pytest.raises(InputError, match="is encrypted"):
        file.values(0, "secret")


def test_names_that_are_no_text(tmp_path):
    path = write(tmp_path / "a.parquet", pa.table({"plain": [1]}), store_schema=False)
    data = path.read_bytes()
    assert data.count(b"plain") > 1
    path.write_bytes(data.replace(b"plain", b"pl\xff\xfen"))
    assert "is not a readable parquet file" in refusal(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "truncated or corrupt"), (b"PAR1" * 9, "truncated or corrupt"), (b"\0" * 99, "truncated or corrupt"),
     (gzip.compress(b"x" * 99, mtime=0), "begins like a gzip file"), (b"PARE" + b"\1" * 40 + b"PARE", "encrypted"),
     (b"PAR1" + b"\xff" * 64 + b"\x40\0\0\0PAR1", "truncated or corrupt")],
)  # fmt: skip
def test_what_is_no_parquet(tmp_path, content, said):
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    assert said in refusal(path)


def test_places_where_no_file_is(tmp_path):
    with zipfile.ZipFile(tmp_path / "z.parquet", "w") as archive:
        archive.writestr("a", "b" * 50)
    assert "begins like a zip file" in refusal(tmp_path / "z.parquet")
    (tmp_path / "x.parquet").mkdir()
    assert "is a folder, and one parquet file is wanted" in refusal(tmp_path / "x.parquet")
    (tmp_path / "l.parquet").symlink_to("nowhere")
    assert "cannot be opened (No such file or directory)" in refusal(tmp_path / "l.parquet")
    os.mkfifo(tmp_path / "f.parquet")
    assert "is no regular file" in refusal(tmp_path / "f.parquet")


def test_out_of_memory_is_no_damage(tmp_path, monkeypatch):
    path = write(tmp_path / "a.parquet", pa.table({"a": [1]}))

    def full(*_):
        raise pa.ArrowMemoryError("malloc of size 8388608 failed")

    monkeypatch.setattr(module, "_probe", full)
    assert "out of memory for its footer (malloc of size 8388608 failed); give" in refusal(path)
