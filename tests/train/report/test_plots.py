"""Plots: the same for the same runs, figures by hand, curves averaged down."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.train.report.run_folders import PLOTS, comparison, evaluation, write_run
from train.report.item_frequency import by_frequency
from train.report.plots import _bars, _downsample, draw_plots


def test_the_same_runs_give_the_same_plots(tmp_path):
    run = comparison(write_run(tmp_path / "r", test_evaluation=evaluation()))
    assert draw_plots(run) == draw_plots(run)


def test_a_notebook_s_backend_is_not_asked_for():
    """Shells of a notebook inherit it, and matplotlib refuses to be imported where it is not installed."""
    backend = {**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    command = [sys.executable, "-c", "import train.report.plots"]
    assert subprocess.run(command, cwd=ROOT, env=backend, capture_output=True, text=True).stderr == ""


def test_gain_by_frequency_with_its_whisker(tmp_path):
    runs = [write_run(tmp_path / "id", "none", test_evaluation=evaluation(auc=0.5))]
    runs += [write_run(tmp_path / f"t{s}", "simtier", s, evaluation(auc=a)) for s, a in ((0, 0.6), (1, 0.7))]
    rows = comparison(*runs).rows
    bars = _bars(rows[1], rows, by_frequency(rows, "auc"), relative=True)
    # by hand: .65 / .5 = +30 %; sample deviation of .6 and .7 is .0707, of .5 that is 14.14 %
    assert bars == [(k, pytest.approx(30.0), pytest.approx(14.142, abs=1e-3)) for k in range(10)]


def test_a_single_run_shows_auc_itself(tmp_path):
    captions = {
        p.name: p.caption for p in draw_plots(comparison(write_run(tmp_path / "r", test_evaluation=evaluation())))
    }
    assert list(captions) == PLOTS and "AUC itself" in captions["frequency"]


def test_long_curves_are_averaged_down_and_keep_their_level():
    points = [(k, k % 2) for k in range(10_000)]
    thin = _downsample(points)
    assert 250 <= len(thin) <= 300 and thin[0] == (16.5, 0.5) and {y for _, y in thin} == {0.5}
    assert _downsample(points[:300]) == points[:300]
