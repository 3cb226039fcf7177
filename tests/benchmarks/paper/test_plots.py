"""Plots come from rows."""

import re

import pytest

from benchmarks.paper.figures import of_data
from benchmarks.paper.plots import plot
from benchmarks.paper.tables import BY_TARGET
from tests.benchmarks.paper.rows import ROWS


@pytest.mark.parametrize("target", BY_TARGET)
def test_plots_of_no_rows_are_empty(target: str):
    assert plot(target, {}).startswith(b"<?xml")


@pytest.mark.parametrize("target", BY_TARGET)
def test_plots_hold_what_was_trained_and_repeat_to_the_byte(target: str):
    runs = of_data(ROWS, "shop")
    image = plot(target, runs)
    assert image == plot(target, runs) != plot(target, {})
    assert len(image) < 60_000 and b"in the paper" in image
    if target == "fig3":
        labels = set(re.findall(r">([^<>]+)</text>", image.decode()))
        assert {"ID", "MAKE alone", "multimodal only"} <= labels and "ID, tables reset" not in labels
