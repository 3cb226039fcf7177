"""Where a process stands, and work that rank 0 does for all ranks."""

from typing import ClassVar

import pytest
import torch
import torch.distributed as dist

from embeddings.errors import InputError
from train.config import ProcessConfig
from train.distributed.process_group import process_group
from train.distributed.ranks import Ranks, on_all, on_first

CPU = torch.device("cpu")


SETTINGS = ProcessConfig(device="cpu", threads=1)


@pytest.mark.parametrize("error", [InputError("fix it"), OSError(28, "No space left on device")])
def test_a_failure_on_the_first_rank_keeps_its_kind(error):
    def fail():
        raise error

    with process_group(SETTINGS) as ranks, pytest.raises(type(error)) as caught:
        on_first(ranks, fail)
    assert caught.value is error


@pytest.mark.parametrize(("answer", "ends"), [([None, True], True), (["said", False], False)])
def test_other_ranks_hear_of_the_first_ones_failure(monkeypatch, answer, ends):
    def broadcast(values: list, src: int, group: object) -> None:
        assert src == 0 and group is None and values == [None, False]
        values[:] = answer

    monkeypatch.setattr(dist, "broadcast_object_list", broadcast)
    second = Ranks(1, 2, 1, 2, CPU)
    if ends:
        with pytest.raises(SystemExit) as caught:
            on_first(second, lambda: pytest.fail("only rank 0 acts"))
        assert caught.value.code == 2
    else:
        assert on_first(second, lambda: pytest.fail("only rank 0 acts")) == "said"


OTHERS = [  # what ranks 0 and 2 of 3 say beside rank 1, whether it fails, and what comes of it
    ([("a", False), ("c", False)], False, ["a", "b", "c"]),
    ([("a", False), (None, True)], False, SystemExit),
    ([(None, True), ("c", False)], True, SystemExit),  # the first one says why
    ([("a", False), (None, True)], True, InputError),
]


@pytest.mark.parametrize(("others", "fails", "outcome"), OTHERS)
def test_what_one_rank_cannot_ends_all(monkeypatch, others, fails, outcome):
    def gather(answers: list, own: tuple, group: object) -> None:
        assert own == ((None, True) if fails else ("b", False)) and group is None
        answers[:] = [others[0], own, others[1]]

    def action() -> str:
        if fails:
            raise InputError("fix it")
        return "b"

    monkeypatch.setattr(dist, "all_gather_object", gather)
    second = Ranks(1, 3, 1, 3, CPU)
    if isinstance(outcome, list):
        assert on_all(second, action) == outcome
    else:
        with pytest.raises(outcome) as caught:
            on_all(second, action)
        assert str(caught.value) == ("fix it" if outcome is InputError else "2")


def test_one_rank_alone_does_it_all():
    with process_group(SETTINGS) as ranks:
        assert on_all(ranks, lambda: 7) == [7]
        with pytest.raises(OSError, match="full"):
            on_all(ranks, lambda: (_ for _ in ()).throw(OSError(28, "full")))


def test_a_place_is_marked_where_somebody_listens():
    class Heard:
        places: ClassVar[list[str]] = []

        def mark(self, place: str) -> None:
            self.places.append(place)

    Ranks(0, 1, 0, 1, CPU).mark("nowhere")
    Ranks(1, 2, 1, 2, CPU, Heard()).mark("after step 3")
    assert Heard.places == ["after step 3"]
    assert Ranks(0, 2, 0, 2, CPU).first and not Ranks(1, 2, 0, 2, CPU).first
