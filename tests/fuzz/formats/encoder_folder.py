"""Fuzzed encoder folders: encoder.json, weights, tokenizers, settings of transformers models with code of their own."""

import json
import random
from pathlib import Path

from tests.fuzz.case import Case, Format
from tests.fuzz.corpus import PICTURES
from tests.fuzz.mutate import payloads
from tests.fuzz.mutate.texts import mutate_json, spoil_file
from tests.fuzz.mutate.weights import mutate_safetensors

_NAMES = [
    *("hf-hub:nobody/evil", "hf_hub:timm/resnet18.a1_in1k", "resnet18", "../../x", "local-dir:.", "s3://x/y"),
    *("timm/resnet18", "https://127.0.0.1:9/x", "file:///etc/passwd", "bert-base-uncased"),
]
QUICK = ["--device", "cpu", "--workers", 1]


def _plant(encoder: Path, rng: random.Random) -> None:
    """Code beside a model's settings, which name it; a model of the network; weights as a pickle."""
    made = payloads.marker(encoder, "code")
    code = f"open({str(made)!r}, 'w').close()\n"
    settings = encoder / "backbone" / "config.json"
    kind = rng.randrange(4)
    if kind <= 1 and settings.is_file():
        about = json.loads(settings.read_text())
        where = rng.choice(["evil", "nobody/evil--evil", "../evil", "./evil"])
        about["auto_map"] = {name: f"{where}.Evil" for name in ("AutoConfig", "AutoModel", "AutoTokenizer")}
        about["model_type"] = rng.choice(["evil", about["model_type"]])
        settings.write_text(json.dumps(about))
        tokenizer = json.loads((settings.parent / "tokenizer_config.json").read_text())
        if rng.random() < 0.5:
            tokenizer |= {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}, "tokenizer_class": "Evil"}
            (settings.parent / "tokenizer_config.json").write_text(json.dumps(tokenizer))
        for folder in (settings.parent, encoder, encoder.parent):
            (folder / "evil.py").write_text(code + "class Evil:\n    pass\n")
        return
    if kind == 2:
        path = encoder / "encoder.json"
        about = json.loads(path.read_text())
        about["library"] = rng.choice(["timm", "transformers", about["library"]])
        about["name"] = rng.choice([*_NAMES, f"local-dir:{encoder}"])
        path.write_text(json.dumps(about))
        return
    weights = encoder / "weights.safetensors"
    evil = payloads.torch_file(encoder, rng)
    weights.write_bytes(evil)
    if settings.parent.is_dir():
        (settings.parent / "pytorch_model.bin").write_bytes(evil)


def make(folder: Path, rng: random.Random) -> Case:
    there = sorted(p.name for p in (folder / "encoders").iterdir())
    name = rng.choice(there)
    encoder = folder / "encoders" / name
    kind = rng.random()
    others = [p for p in sorted(encoder.rglob("*.json")) if p.name != "encoder.json"]
    if kind < 0.35:
        mutate_json(encoder / "encoder.json", rng)
    elif kind < 0.55:
        _plant(encoder, rng)
    elif kind < 0.75 and others:
        mutate_json(rng.choice(others), rng)
    elif kind < 0.95:
        mutate_safetensors(encoder / "weights.safetensors", rng)
    else:
        spoil_file(rng.choice(sorted(p for p in encoder.rglob("*") if p.is_file())), rng)
    if name == "bert" and rng.random() < 0.15:  # a model that scl begins with
        model = folder / "models" / "bert"
        mutate_json(model / rng.choice(["config.json", "tokenizer.json", "tokenizer_config.json"]), rng)
        model_of = ["data.path=texts", "model.text.name=models/bert"]
        return Case([["scl", "--config", "scl.yaml", *model_of, "train.max_steps=1"]])
    items = "pairs/items" if name in PICTURES else "texts/items"
    return Case([["encode", f"encoders/{name}", "--items", items, "--column", "content", "--out", "out", *QUICK]])


FORMAT = Format("encoder", ["encoders", "pairs/items", "texts", "models", "scl.yaml"], make)
