"""A launcher's environment: whole, half there, and saying what cannot be."""

import pytest

from embeddings.errors import InputError
from train.distributed.launcher import read_launcher

WHOLE = {
    "RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "here",
    "MASTER_PORT": "29500",
}
ELASTIC = ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_USE_AGENT_STORE")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in (*WHOLE, *ELASTIC):
        monkeypatch.delenv(name, raising=False)


def test_a_rank_of_torchrun(monkeypatch):
    torchrun = dict(zip(ELASTIC, ("none", "3", "True"), strict=True))
    for name, value in (WHOLE | torchrun).items():
        monkeypatch.setenv(name, value)
    launched = read_launcher()
    assert (launched.rank, launched.world_size, launched.local_rank, launched.local_world_size) == (1, 4, 1, 2)
    assert (launched.master_addr, launched.master_port, launched.attempt) == ("here", 29500, "3")
    assert launched.store_is_torchruns and launched.below_torchrun


@pytest.mark.parametrize("leftover", [{}, {"MASTER_ADDR": "here"}, {"WORLD_SIZE": "1", "LOCAL_RANK": "0"}])
def test_without_a_launcher_it_is_alone(monkeypatch, leftover):
    for name, value in leftover.items():
        monkeypatch.setenv(name, value)
    launched = read_launcher()
    assert (launched.rank, launched.world_size, launched.local_rank, launched.local_world_size) == (0, 1, 0, 1)
    assert launched.master_addr is None and not launched.below_torchrun


def test_one_rank_needs_no_place_on_its_machine(monkeypatch):
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, WHOLE[name])
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert read_launcher().local_world_size == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"MASTER_ADDR": None, "MASTER_PORT": None}, "as a launcher does, and MASTER_ADDR, MASTER_PORT are not"),
        ({"WORLD_SIZE": None}, "and WORLD_SIZE is not; allowed: all or none of them"),
        ({"LOCAL_RANK": None}, "and LOCAL_RANK is not"),
        ({"RANK": None}, "WORLD_SIZE='4' LOCAL_RANK='1' LOCAL_WORLD_SIZE='2' is set, and RANK is not"),
        ({"RANK": ""}, "RANK: Input should be a valid integer, unable to parse string as an integer, got ''"),
        ({"RANK": "abc"}, "RANK: Input should be a valid integer"),
        ({"RANK": "-1"}, "RANK: Input should be greater than or equal to 0, got '-1'"),
        ({"RANK": "9" * 5000}, "RANK: "),
        ({"RANK": "4"}, "RANK is 4; allowed with WORLD_SIZE=4: at most 3"),
        ({"LOCAL_RANK": "2"}, "LOCAL_RANK is 2; allowed with LOCAL_WORLD_SIZE=2: at most 1"),
        ({"LOCAL_WORLD_SIZE": "8"}, "LOCAL_WORLD_SIZE is 8; allowed with WORLD_SIZE=4: at most 4"),
        ({"MASTER_ADDR": ""}, "MASTER_ADDR: "),
        ({"MASTER_PORT": "99999"}, "MASTER_PORT: Input should be less than or equal to 65535"),
    ],
)  # fmt: skip
def test_half_an_environment_is_one_line(monkeypatch, changes, words):
    for name, value in (WHOLE | changes).items():
        if value is not None:
            monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as caught:
        read_launcher()
    text = str(caught.value)
    assert words in text and "\n" not in text and len(text) < 600
    assert text.endswith("start with torchrun or torchx, which set all of it, or unset RANK to run as one process")
