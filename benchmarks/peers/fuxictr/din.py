"""DIN from the peer's own layers, wired as its model zoo does: the package ships the layers, not the model.

Runs inside the peer's environment only.
"""

import os
from typing import Any

import torch
from fuxictr.pytorch.layers import DIN_Attention, FeatureEmbeddingDict, MLP_Block
from fuxictr.pytorch.layers.embeddings.pretrained_embedding import PretrainedEmbedding
from fuxictr.pytorch.models import BaseModel


class DIN(BaseModel):
    """Deep interest network. With ``vectors``, target and behaviours are [id embedding ; frozen vector] everywhere.

    Args:
        pairs: (target feature, sequence feature) for each attention.
        vectors: {"target", "history", "width"} names the pair that has frozen vectors; None leaves them out.
    """

    def __init__(
        self,
        feature_map: Any,
        *,
        pairs: list[list[str]],
        vectors: dict | None,
        embedding_dim: int,
        hidden: list[int],
        attention_hidden: list[int],
        attention_activation: str,
        learning_rate: float,
        **settings: Any,
    ) -> None:
        super().__init__(feature_map, **settings)
        self.pairs, self.vectors = pairs, vectors
        self.embedding_layer = FeatureEmbeddingDict(feature_map, embedding_dim)
        self.frozen = _frozen(feature_map, vectors) if vectors else None
        extra = vectors["width"] if vectors else 0
        self.attention = torch.nn.ModuleList(
            DIN_Attention(
                embedding_dim + extra * self._has_vectors(target, sequence),
                attention_units=attention_hidden,
                hidden_activations=attention_activation,
            )
            for target, sequence in pairs
        )
        self.dnn = MLP_Block(
            input_dim=feature_map.sum_emb_out_dim() + 2 * extra,
            output_dim=1,
            hidden_units=hidden,
            hidden_activations="ReLU",
            output_activation=self.output_activation,
        )
        self.compile("adam", "binary_crossentropy", learning_rate)
        self.reset_parameters()
        self.model_to_device()

    def forward(self, inputs: Any) -> dict[str, torch.Tensor]:
        """{"y_pred": [B, 1] probabilities} of a batch as the peer's loaders make it."""
        ids = self.get_inputs(inputs)
        embedded = self.embedding_layer(ids)
        outputs = dict(embedded)
        for (target, sequence), attention in zip(self.pairs, self.attention, strict=True):
            query, keys = embedded[target], embedded[sequence]
            if self._has_vectors(target, sequence):
                assert self.frozen is not None
                query = torch.cat([query, self.frozen(ids[target].long())], dim=-1)
                keys = torch.cat([keys, self.frozen(ids[sequence].long())], dim=-1)
                outputs[target] = query
            outputs[sequence] = attention(query, keys, ids[sequence] != 0)
        return {"y_pred": self.dnn(self.embedding_layer.dict2tensor(outputs, flatten_emb=True))}

    def _has_vectors(self, target: str, sequence: str) -> bool:
        return self.vectors is not None and (target, sequence) == (self.vectors["target"], self.vectors["history"])


def _frozen(feature_map: Any, vectors: dict) -> PretrainedEmbedding:
    width, folder = vectors["width"], feature_map.data_dir
    return PretrainedEmbedding(
        vectors["target"],
        {**feature_map.features[vectors["target"]], "freeze_emb": True},
        pretrain_path=os.path.join(folder, "vectors.npz"),
        vocab_path=os.path.join(folder, "feature_vocab.json"),
        embedding_dim=width,
        pretrain_dim=width,
    )
