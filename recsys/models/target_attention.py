"""DIN's target attention over a jagged history, and MUSE's, which mixes cosines of frozen vectors into it."""

import itertools

import torch
from torch import nn
from torch.nn.functional import pad

from embeddings.kernels.target_attention.op import target_attention
from recsys.models.cost import Cost, held, linear_cost, parameter_cost


def segment_ids(lengths: torch.Tensor, total: int) -> torch.Tensor:
    """The number of the bag that each value of a jagged tensor is in: lengths [2, 0, 1] give [0, 0, 2].

    lengths  [B]      int; values of each bag, of which there may be none
    returns  [total]  int64
    """
    bags = torch.arange(lengths.numel(), device=lengths.device)
    return torch.repeat_interleave(bags, lengths, output_size=total)


def segment_softmax(scores: torch.Tensor, bags: torch.Tensor, count: int) -> torch.Tensor:
    """Softmax over the values of each bag.

    scores   [T, 1]
    bags     [T]     int64, the bag of each score, below ``count``
    returns  [T, 1]
    """
    flat = scores.squeeze(1)
    highest = flat.new_full((count,), -torch.inf).scatter_reduce(0, bags, flat.detach(), "amax")
    powers = (flat - highest.index_select(0, bags)).exp()
    return (powers / powers.new_zeros(count).index_add(0, bags, powers).index_select(0, bags)).unsqueeze(1)


def spread_bags(
    behaviours: torch.Tensor, lengths: torch.Tensor, bag_index: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each target's own copy of the bag that it shares with others.

    behaviours  [T, D]  bag after bag
    lengths     [U]     int; of each bag
    bag_index   [B]     int64, bag of each target
    returns     [P, D], target after target, and their lengths [B]
    """
    starts = (lengths.cumsum(0) - lengths).index_select(0, bag_index)
    lengths = lengths.index_select(0, bag_index)
    stops = lengths.cumsum(0)
    total = int(stops[-1]) if stops.numel() else 0
    bags = segment_ids(lengths, total)
    places = torch.arange(total, device=lengths.device) + (starts - stops + lengths).index_select(0, bags)
    return behaviours.index_select(0, places), lengths


def _fused(target: torch.Tensor, behaviours: torch.Tensor) -> bool:
    """Whether the op computes what is asked."""
    if torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return False
    return target.device.type == "cpu" and target.dtype == behaviours.dtype == torch.float32


class TargetAttention(nn.Module):
    """Sum of the behaviours, each weighted by its relevance to the target.

    Zhou et al., Deep Interest Network (KDD 2018), eq. 3. The activation unit sees [q; k; q - k; q * k]. Its first
    layer is linear in q, k and q * k alone, so q - k needs no columns of its own, and q's part is computed once per
    target instead of once per behaviour.

    With cosines R of frozen vectors the weights are those of semantic-aware target attention (SA-TA, MUSE,
    arXiv 2512.07216), ``gamma1 alpha + gamma2 R + gamma3 (alpha * R)``, a gamma2 and a gamma3 for each modality. They
    begin as (1, 0, 0), which is DIN. DIN has no softmax; MUSE has one behind the gammas.

    Args:
        modalities: columns of R; 0 for plain attention.
        softmax: over the behaviours of each bag.
    """

    def __init__(self, width: int, hidden: list[int], modalities: int = 0, softmax: bool = False) -> None:
        super().__init__()
        self.query = nn.Linear(width, hidden[0])
        self.pair = nn.Linear(2 * width, hidden[0], bias=False)
        layers: list[nn.Module] = [nn.SiLU()]
        for fan_in, fan_out in itertools.pairwise(hidden):
            layers += [nn.Linear(fan_in, fan_out), nn.SiLU()]
        self.score = nn.Sequential(*layers, nn.Linear(hidden[-1], 1))
        start = torch.tensor([1.0] + [0.0] * 2 * modalities)
        self.gamma = nn.Parameter(start) if modalities else None  # gamma1, each gamma2, each gamma3
        self.softmax = softmax

    def forward(
        self,
        target: torch.Tensor,
        behaviours: torch.Tensor,
        lengths: torch.Tensor,
        cosines: torch.Tensor | None = None,
        bag_index: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Pool the bag of each target.

        target      [B, D]
        behaviours  [T, D]  bag after bag
        lengths     [U]     int; they sum to T; 0 is allowed
        cosines     [P, S]  of target and behaviour in S modalities, target after target; 0 where a side has no vector;
                            None where S is 0
        bag_index   [B]     int64, bag of each target; None where each has the bag of its own number: U = B, P = T
        returns     [B, D]  zeros for an empty bag

        Where it computes all that is asked (on CPU, in float32, no gradient wanted) the fused op does it, for a run's
        evaluation as for a request, so that both give one score. Elsewhere shared bags are spread out.
        """
        if _fused(target, behaviours):
            return self._pooled(target, behaviours, lengths, cosines, bag_index)
        if bag_index is not None:
            behaviours, lengths = spread_bags(behaviours, lengths, bag_index)
        bags = segment_ids(lengths, behaviours.shape[0])
        pairs = torch.cat([behaviours, behaviours * target.index_select(0, bags)], dim=1)
        weights = self.score(self.pair(pairs) + self.query(target).index_select(0, bags))
        if self.gamma is not None:
            assert cosines is not None, "SA-TA without cosines"
            of_own, of_cosines, of_products = self.gamma.split([1, cosines.shape[1], cosines.shape[1]])
            weights = of_own * weights + cosines @ of_cosines.unsqueeze(1) + weights * (cosines @ of_products[:, None])
        if self.softmax:
            weights = segment_softmax(weights.float(), bags, lengths.numel())
        pooled = torch.zeros_like(target, dtype=behaviours.dtype)
        return pooled.index_add(0, bags, (weights * behaviours).to(pooled.dtype))

    def _pooled(
        self,
        target: torch.Tensor,
        behaviours: torch.Tensor,
        lengths: torch.Tensor,
        cosines: torch.Tensor | None,
        bag_index: torch.Tensor | None,
    ) -> torch.Tensor:
        """As forward, by the op."""
        layers = [layer for layer in self.score if isinstance(layer, nn.Linear)]
        return target_attention(
            target,
            behaviours,
            pad(lengths.cumsum(0), (1, 0)),
            bag_index,
            self.query.weight,
            self.query.bias,
            self.pair.weight,
            [layer.weight for layer in layers],
            [layer.bias for layer in layers],
            self.gamma,
            None if self.gamma is None else cosines,
            self.softmax,
        )

    def cost(self, length: float) -> Cost:
        """Of one target and its history of ``length`` behaviours."""
        layers = [linear_cost(layer, length) for layer in self.score if isinstance(layer, nn.Linear)]
        pairs = held(length * 2 * self.pair.in_features)  # beside their products; targets spread out; the weighted sum
        gammas = parameter_cost([self.gamma] if self.gamma is not None else [])
        return sum([linear_cost(self.query), linear_cost(self.pair, length), pairs, *layers], gammas)
