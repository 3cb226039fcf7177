"""Pickles as plain data: what torch writes is read, nothing is run, nothing takes long."""

import pickle
from collections import OrderedDict

import pytest
import torch

from tests.train.checkpoint.earlier import harmful
from train.checkpoint.pickle_data import Call, Name, read_pickle


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_plain_values_are_what_they_were(protocol):
    values = [0, -1, 300, 70000, -(2**31), 2**40, True, False, None, 1.5, "text", "x" * 300, (), (1,), (1, 2),
              (1, 2, 3), (1, 2, 3, 4), [], [1], [1, "a"], {}, {"a": 1}, {"a": [1], 2: {"b": ()}}]  # fmt: skip
    shared = ["same"]
    assert read_pickle(pickle.dumps([values, shared, shared], protocol)) == [values, shared, shared]


def test_classes_and_calls_are_named_alone():
    size = read_pickle(pickle.dumps(torch.Size((2, 3))))
    assert isinstance(size, Call) and size.name == Name("torch", "Size") and size.arguments == ((2, 3),)
    assert read_pickle(pickle.dumps(torch.float32)) == Name("torch", "float32")
    assert str(read_pickle(pickle.dumps(OrderedDict, 2))) == "collections.OrderedDict"


@pytest.mark.parametrize("protocol", [1, 2, 3, 4])
def test_nothing_is_run(tmp_path, protocol):
    read = read_pickle(harmful(tmp_path / "mark", protocol))
    assert isinstance(read, Call) and not (tmp_path / "mark").exists()


def test_the_oldest_protocol_has_instructions_that_are_refused(tmp_path):
    with pytest.raises(ValueError, match="torch does not write"):
        read_pickle(harmful(tmp_path / "mark", 0))
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"", b".", b"\x80\x04", b"\x80\x04K", b"\xff", b"K\x01a.", b"]K\x01", b"t.", b"(t", b"h\x05.", b"}K\x01s.",
        b"}]K\x01s.", b"}(K\x01u.", b"K\x01}b.", b"K\x01K\x02\x93.", b"R.", b"\x8c\xff" + b"a",
        b"}(K\x01)K\x02u.", b"}))s.", b"\x8b\xff\xff\xff\x7f", b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", b"cnewline",
        b"X\x01\x00\x00\x00\xff.",
        b"}" + b"(" * 100_000, b"]" * 100_000, b"ca\nb\n\x85", b"cab\n.",
    ],
)  # fmt: skip
def test_what_is_no_pickle_of_torch_is_one_error(data):
    with pytest.raises(ValueError):
        read_pickle(data)


def test_tuples_of_tuples_are_never_hashed():
    """60 levels, each twice the one below: hashing it would take 2^60 steps."""
    nested = b")" + b"".join(b"q\x01h\x01\x86" for _ in range(60))
    with pytest.raises(ValueError, match="do not fit"):
        read_pickle(b"\x80\x02}" + nested + b"K\x01s.")
    assert len(read_pickle(b"\x80\x02" + nested + b".")) == 2
