"""Settings of an SCL run (contrastive learning): pairs, optimizer, training loop."""

from typing import Literal

from pydantic import Field, model_validator

from embeddings.validation import FileName, LocalPath, Strict
from recsys.scl.config import AugmentConfig, SCLModelConfig
from train.config import MOST_EPOCHS, MOST_ROWS, MOST_STEPS, LoopConfig, RunSettings, SplitsConfig


class PairsConfig(SplitsConfig):
    """Where pairs come from and how they are read."""

    path: LocalPath = Field(description="folder with pairs.yaml, the splits and the items")
    test: FileName | None = Field(None, description="split that is only reported; null: none")
    batch_size: int = Field(64, ge=2, le=MOST_ROWS, description="pairs a step and rank")
    eval_batch_size: int = Field(256, ge=1, le=MOST_ROWS, description="queries or items a step and rank in evaluation")
    candidates: Literal["positives", "items"] = Field(
        "positives", description="what Acc@N ranks: all positives of the split, or all items"
    )
    shuffle_rows: int = Field(65_536, ge=1, le=10**9, description="rows shuffled together, and held in memory")
    workers: int = Field(1, ge=1, le=256, description="threads a rank that decode and augment")
    prefetch: int = Field(4, ge=1, le=1024, description="steps read ahead")
    cache_mib: int = Field(256, ge=0, le=2**20, description="memory a rank for decoded pictures; older ones go first")


class OptimizerConfig(Strict):
    """AdamW; the learning rate rises for warmup_steps, then falls as a cosine to 0 at the end of the last epoch."""

    lr: float = Field(1e-3, gt=0, le=1e30)
    weight_decay: float = Field(0.05, ge=0, le=1000, description="of weights, not of biases, norms and temperature")
    warmup_steps: int = Field(50, ge=0, le=MOST_STEPS)


class SCLTrainConfig(LoopConfig):
    """The training loop: epochs, logging, checkpoints."""

    epochs: int = Field(10, ge=0, le=MOST_EPOCHS, description="0: only validate the untrained encoders")
    log_every: int = Field(20, ge=1, le=MOST_STEPS, description="steps of an epoch between rows of metrics.jsonl")
    keep: int = Field(1, ge=1, le=MOST_EPOCHS, description="checkpoints kept besides the best")


class SCLConfig(RunSettings):
    data: PairsConfig
    model: SCLModelConfig = SCLModelConfig()
    augment: AugmentConfig = AugmentConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    train: SCLTrainConfig = SCLTrainConfig()

    @model_validator(mode="after")
    def _bank_begins(self) -> "SCLConfig":
        wait, epochs = self.model.bank.wait_epochs, self.train.epochs
        if self.model.bank.rows and 0 < epochs <= wait:
            raise ValueError(
                f"model.bank.wait_epochs is {wait} of {epochs} epochs, so the bank would never be used; "
                f"lower it, or set model.bank.rows=0"
            )
        return self
