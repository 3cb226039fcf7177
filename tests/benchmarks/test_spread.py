"""Mean and deviation over seeds."""

import pytest

from benchmarks.spread import Mean


def test_several_seeds_have_the_samples_deviation():
    mean = Mean.of([1.0, 3.0])
    assert mean == (2.0, pytest.approx(2**0.5), 2)
    assert (mean.four_places(), mean.percent()) == ("2.0000 +- 1.4142", "+2.00 % +- 1.41")


def test_one_seed_has_none():
    assert (Mean.of([0.5]).four_places(), Mean.of([-0.5]).percent()) == ("0.5000", "-0.50 %")
