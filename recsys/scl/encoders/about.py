"""encoder.json: what builds an encoder's network again, as it is read from a folder that may come from elsewhere."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from embeddings.errors import InputError
from embeddings.files.json_file import read_json
from embeddings.validation import validated

ABOUT = "encoder.json"
OF_A_RUN = "encoder"  # the folder of a run that holds its encoder

Width = Annotated[int, Field(ge=1, le=1 << 16)]
_Number = Annotated[float, Field(ge=-1e6, le=1e6)]
_Size = Annotated[int, Field(ge=1, le=1024)]


class _About(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    width: Width


class OurImageEncoder(_About):
    library: Literal["ours"]
    kind: Literal["image"]
    size: _Size
    channels: Annotated[list[Width], Field(min_length=1, max_length=64)]
    blocks: Annotated[int, Field(ge=1, le=1000)]


class OurTextEncoder(_About):
    library: Literal["ours"]
    kind: Literal["text"]
    max_length: Annotated[int, Field(ge=1, le=1 << 20)]
    hidden: Width
    layers: Annotated[int, Field(ge=1, le=1000)]
    heads: Width
    dropout: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _divides(self) -> "OurTextEncoder":
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is no multiple of heads {self.heads}")
        return self


class TimmEncoder(_About):
    """``name`` is a model's of timm itself: neither a place on the network nor a folder."""

    library: Literal["timm"]
    kind: Literal["image"]
    size: _Size
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$", max_length=200)]
    features: int
    mean: Annotated[list[_Number], Field(min_length=3, max_length=3)]
    std: Annotated[list[Annotated[_Number, Field(gt=0)]], Field(min_length=3, max_length=3)]


class TransformersEncoder(_About):
    library: Literal["transformers"]
    kind: Literal["text"]
    max_length: Annotated[int, Field(ge=1, le=1 << 20)]
    pooling: Literal["mean", "cls"]


class _Which(BaseModel):
    library: Literal["ours", "timm", "transformers"]
    kind: Literal["image", "text"]


_KINDS: dict[tuple[str, str], type[_About]] = {
    ("ours", "image"): OurImageEncoder,
    ("ours", "text"): OurTextEncoder,
    ("timm", "image"): TimmEncoder,
    ("transformers", "text"): TransformersEncoder,
}


def encoder_folder(path: str | Path) -> Path | None:
    """The encoder's folder that ``path`` means: a run's, or itself; None where it is neither."""
    return next((place for place in (Path(path) / OF_A_RUN, Path(path)) if (place / ABOUT).is_file()), None)


def read_about(folder: Path) -> dict[str, Any]:
    """The settings in ``folder``. Raises InputError where they are not readable, and OSError where there are none."""
    raw = read_json(folder / ABOUT, "settings", most_bytes=1 << 20)
    which = validated(_Which, raw, ABOUT)
    if (which.library, which.kind) not in _KINDS:
        raise InputError(f"{ABOUT}: {which.library} has no encoders of kind {which.kind}")
    return validated(_KINDS[which.library, which.kind], raw, ABOUT).model_dump()
