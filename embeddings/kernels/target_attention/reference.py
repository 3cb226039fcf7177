"""DIN's target attention, the oracle: one pair at a time in float64. Every other implementation must agree with it."""

import torch
from torch.nn.functional import silu


def target_attention(
    target: torch.Tensor,
    behaviours: torch.Tensor,
    offsets: torch.Tensor,
    bag_index: torch.Tensor | None,
    query: torch.Tensor,
    query_bias: torch.Tensor,
    pair: torch.Tensor,
    weights: list[torch.Tensor],
    biases: list[torch.Tensor],
    gamma: torch.Tensor | None,
    cosines: torch.Tensor | None,
    softmax: bool,
) -> torch.Tensor:
    """Sum of the behaviours, each weighted by its relevance to the target.

    Zhou et al., Deep Interest Network (KDD 2018), eq. 3, with silu and a first layer that leaves out q - k, which is
    linear in the others. For target q and behaviour k, with linear layers 1 to n, the last of which is the score:

        h_0 = query q + query_bias + pair [k; q * k]
        h_i = weights_i silu(h_(i - 1)) + biases_i,    alpha = h_n

    With cosines r in S modalities and gamma = [g1, g2 (S), g3 (S)] (MUSE, arXiv 2512.07216) alpha becomes

        g1 alpha + g2 . r + alpha (g3 . r)

    and with softmax the alphas of a bag go through one. v = sum of alpha k over q's bag. Arguments and result as in
    ``embeddings.kernels.target_attention.op``.
    """
    target, behaviours, query, query_bias, pair = (t.double() for t in (target, behaviours, query, query_bias, pair))
    out = torch.zeros_like(target)
    place = int(offsets[0]) if bag_index is None and len(target) else 0  # of a pair's cosines
    for b, q in enumerate(target):
        bag = b if bag_index is None else int(bag_index[b])
        alphas = []
        keys = behaviours[int(offsets[bag]) : int(offsets[bag + 1])]
        for k in keys:
            hidden = query @ q + query_bias + pair @ torch.cat([k, q * k])
            for weight, bias in zip(weights, biases, strict=True):
                hidden = weight.double() @ silu(hidden) + bias.double()
            if gamma is not None and cosines is not None:
                r = cosines[place].double()
                own, of_cosines, of_products = gamma.double().split([1, len(r), len(r)])
                hidden = own * hidden + of_cosines @ r + hidden * (of_products @ r)
            alphas.append(hidden)
            place += 1
        if alphas:
            alpha = torch.cat(alphas)
            out[b] = (alpha.softmax(0) if softmax else alpha) @ keys
    return out.float()
