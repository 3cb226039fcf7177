"""Titles of models by mode, by modality and by architecture."""

import subprocess
import sys

import pytest

from recsys.models.config import MultimodalConfig
from recsys.models.titles import mode_title, model_title


@pytest.mark.parametrize(
    ("mode", "title"),
    [
        ("none", "ID"),
        ("vector", "ID + Vector"),
        ("simscore", "ID + SimScore"),
        ("simtier", "ID + SimTier"),
        ("make", "ID + MAKE"),
        ("simtier+make", "ID + SimTier + MAKE"),
        ("sa_ta", "ID + SA-TA"),
        ("vector+sa_ta", "ID + Vector + SA-TA"),
        ("simtier+make+sa_ta", "ID + SimTier + MAKE + SA-TA"),
        ("make alone", "MAKE alone"),
        ("later", "ID + later"),
    ],
)
def test_a_mode_has_a_title(mode, title):
    assert mode_title(mode) == model_title(mode) == model_title(mode, {"image": mode}) == title


def test_every_mode_of_the_config_has_words_of_its_own():
    modes = MultimodalConfig.model_fields["mode"].annotation.__args__
    assert len(modes) == 6
    for mode in modes:
        parts = MultimodalConfig(mode=mode, sa_ta=True).parts
        title = mode_title("+".join(parts))
        assert not any(part in title.split(" + ") for part in parts), "a part stands as the config spells it"


@pytest.mark.parametrize(
    ("modes", "title"),
    [
        ({"image": "none", "text": "none"}, "ID"),
        ({"image": "make", "text": "make"}, "ID + MAKE"),
        ({"image": "vector", "text": "none"}, "ID + image: Vector"),
        ({"image": "simtier+make", "text": "simscore"}, "ID + image: SimTier + MAKE + text: SimScore"),
    ],
)
def test_modalities_of_other_modes_are_named(modes, title):
    assert model_title("make+simtier", modes) == title


def test_a_make_that_is_trained_alone_is_no_id_model():
    assert model_title("make alone", {"image": "make", "text": "none"}) == "MAKE alone"
    assert model_title("make alone", {"image": "make"}, "make") == "MAKE alone"


def test_another_architecture_stands_in_front():
    assert model_title("simtier", {"image": "simtier"}, "toy") == "toy: ID + SimTier"
    assert model_title("simtier", {"image": "simtier"}, "din") == "ID + SimTier"


def test_titles_need_no_torch():
    code = "import sys, recsys.models.titles; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
