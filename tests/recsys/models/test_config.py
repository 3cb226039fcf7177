"""What the configs say of their runs: the mode in run.json, and the settings that the model never reads."""

import pytest

from recsys.models.arch_config import arch_config

CROSS = {"cross_layers", "cross_rank"}


@pytest.mark.parametrize(
    ("raw", "modalities", "mode"),
    [
        ({"multimodal": {"mode": "none"}}, ["image"], "none"),
        ({"multimodal": {"mode": "simtier"}}, [], "none"),
        ({"multimodal": {"mode": "simtier+make", "sa_ta": True}}, ["image"], "simtier+make+sa_ta"),
        ({"modalities": {"text": {"mode": "make"}, "image": {"mode": "none"}}}, ["image", "text", "sound"],
         "make+simtier"),
        ({"arch": "make", "modality": "text", "multimodal": {"mode": "simtier"}}, ["image", "text"], "make alone"),
    ],
)  # fmt: skip
def test_the_mode_of_a_run(raw: dict, modalities: list[str], mode: str) -> None:
    assert arch_config(raw).run_mode(modalities) == mode


@pytest.mark.parametrize(
    ("raw", "modalities", "unread"),
    [
        ({"interaction": "dcn", "multimodal": {"mode": "simtier+make"}}, ["image"], set()),
        ({"multimodal": {"mode": "simtier+make"}}, ["image"], CROSS),
        ({"multimodal": {"mode": "simtier"}}, None, CROSS),
        ({"multimodal": {"mode": "simtier"}}, ["image"], {*CROSS, "multimodal.make"}),
        ({"multimodal": {"mode": "none"}}, ["image"],
         {*CROSS, *(f"multimodal.{key}" for key in ("num_tiers", "make", "placement"))}),
        ({"multimodal": {"mode": "none", "sa_ta": True}}, ["image"],
         {*CROSS, "multimodal.num_tiers", "multimodal.make"}),
        ({}, [], {*CROSS, "multimodal"}),
        ({"modalities": {"text": {"mode": "make"}}}, ["text"], {*CROSS, "multimodal", "modalities.text.num_tiers"}),
        ({"modalities": {"text": {"mode": "make"}}}, ["text", "image"],
         {*CROSS, "multimodal.make", "modalities.text.num_tiers"}),
        ({"arch": "make", "modality": "text"}, ["text"], {"multimodal.num_tiers"}),
    ],
)  # fmt: skip
def test_settings_that_the_model_never_reads(raw: dict, modalities: list[str] | None, unread: set[str]) -> None:
    assert set(arch_config(raw).unread_settings(modalities)) == unread
