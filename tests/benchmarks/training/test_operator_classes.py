"""The classes of a training step's operators."""

from benchmarks.training.operator_classes import SHARES, shares


def test_an_operator_belongs_to_what_its_innermost_known_caller_is():
    events = [
        (["## next_batch ##"], 10.0),
        (["All2All_Seq_Wait", "## forward 3 ##"], 20.0),
        (["fbgemm::permute", "[output_dist]_[x]", "## forward 3 ##"], 5.0),
        (["aten::mm", "## forward 3 ##"], 15.0),
        (["aten::mm", "autograd::engine::evaluate_function: AddmmBackward0", "## backward 3 ##"], 25.0),
        (["## backward 3 ##"], 5.0),  # outside any operator: DDP's wait
        (["aten::add", "## optimizer 3 ##"], 4.0),
    ]
    parts = shares(events, 100.0)
    assert parts == {
        "input": 0.1, "wait": 0.25, "sparse": 0.05, "backward": 0.25, "optimizer": 0.04, "forward": 0.15, "rest": 0.16,
    }  # fmt: skip
    assert list(parts) == SHARES
