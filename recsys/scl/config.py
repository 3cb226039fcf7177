"""Settings of contrastive learning: the encoders and the losses."""

from pydantic import Field, model_validator

from embeddings.validation import StorePath, Strict
from recsys.models.config import MOST_WIDTH, Width, Widths


class ImageEncoderConfig(Strict):
    """The picture encoder: a small ResNet, or a model of timm."""

    name: StorePath = Field("resnet", description="resnet: a small one; else a model of timm, by name or local folder")
    pretrained: bool = Field(True, description="of timm models: begin with their weights, which may be downloaded")
    size: int = Field(64, ge=16, le=1024, description="pixels of a side; the short side is fitted, the middle cut out")
    channels: Widths = Field([32, 64, 128, 256], description="resnet: of each stage")
    blocks: int = Field(1, ge=1, le=64, description="resnet: residual blocks a stage")


class TextEncoderConfig(Strict):
    """The text encoder: a small transformer, or a model of transformers."""

    name: StorePath = Field(
        "transformer", description="transformer: a small one; else a model of transformers, by name or local folder"
    )
    pretrained: bool = Field(True, description="of named models: begin with their weights, which may be downloaded")
    max_length: int = Field(64, ge=2, le=2**16, description="tokens; longer texts are cut")
    vocabulary: int = Field(
        8000, ge=100, le=10**7, description="transformer: pieces of words, found in the train split"
    )
    hidden: int = Field(128, ge=8, le=MOST_WIDTH, description="transformer: width")
    layers: int = Field(2, ge=1, le=256, description="transformer: layers")
    heads: int = Field(4, ge=1, le=1024, description="transformer: attention heads")
    dropout: float = Field(0.1, ge=0, lt=1, description="transformer: in training")

    @model_validator(mode="after")
    def _divides(self) -> "TextEncoderConfig":
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is no multiple of heads {self.heads}; take such a one")
        return self


class BankConfig(Strict):
    """MoCo's memory bank and momentum encoder (He et al., 2020)."""

    rows: int = Field(4096, ge=0, le=1_000_000, description="K vectors over all ranks; 0: no bank, no momentum encoder")
    momentum: float = Field(0.99, ge=0, lt=1, description="share of its own weights that the momentum encoder keeps")
    wait_epochs: int = Field(
        0,
        ge=0,
        le=100_000,
        description="epochs without the bank, in which vectors move too fast for those of earlier steps",
    )
    distinct: bool = Field(
        False, description="one row an item, none of the step's own items: for catalogues smaller than the bank"
    )


class TripletConfig(Strict):
    """max(0, d(q, p) - d(q, n) + margin) on hard negatives, d the cosine distance."""

    weight: float = Field(0.5, ge=0, le=1000, description="lambda; 0: no triplet loss")
    margin: float = Field(0.2, ge=0, le=2)


class AugmentConfig(Strict):
    """Random augmentation of training pairs: how much a picture or a text may be changed."""

    crop: float = Field(0.5, gt=0, le=1, description="smallest share of a picture's area that a view shows")
    stretch: float = Field(1.33, ge=1, le=100, description="largest change of a view's width over its height")
    rotate: float = Field(15.0, ge=0, le=180, description="largest turn, in degrees")
    flip: float = Field(0.5, ge=0, le=1, description="chance that left and right change places")
    light: float = Field(0.3, ge=0, lt=1, description="largest change of brightness, and of contrast")
    colour: float = Field(0.3, ge=0, lt=1, description="largest change of saturation")
    words: float = Field(0.1, ge=0, lt=1, description="share of a text's tokens left out")


class SCLModelConfig(Strict):
    width: Width = Field(128, description="M, of the vectors")
    image: ImageEncoderConfig = ImageEncoderConfig()
    text: TextEncoderConfig = TextEncoderConfig()
    temperature: float = Field(0.07, ge=0.01, le=1, description="tau at the start; it is learned, at least 0.01")
    bank: BankConfig = BankConfig()
    triplet: TripletConfig = TripletConfig()
