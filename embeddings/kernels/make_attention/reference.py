"""MAKE's attention, the oracle: one pair at a time in float64. Every other implementation must agree with it."""

import torch


def make_attention(
    table: torch.Tensor,
    scale: torch.Tensor | None,
    target_rows: torch.Tensor,
    history_rows: torch.Tensor,
    offsets: torch.Tensor,
    bag_index: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor,
    slope: torch.Tensor,
    score: torch.Tensor,
) -> torch.Tensor:
    """Sum of the behaviours' frozen vectors, each weighted by its relevance to the target.

    Sheng et al., CIKM 2024 (arXiv 2407.19467), MAKE: DIN's target attention (Zhou et al., KDD 2018, eq. 3: no softmax)
    over frozen vectors alone. For target q and behaviour k:

        h = weight [q; k; q - k; q * k] + bias
        a = score . prelu(h),    prelu(h) = h where h > 0, else slope * h
        v = sum of a k over the behaviours of q's bag

    Missing behaviours (row -1) are left out; a missing target gets zeros. Arguments and result as in
    ``embeddings.kernels.make_attention.op``.
    """
    parameters = [p.double() for p in (weight, bias, slope, score)]
    return _attend(table, scale, target_rows, history_rows, offsets, bag_index, *parameters).float()


def make_attention_backward(
    gradient: torch.Tensor,
    table: torch.Tensor,
    scale: torch.Tensor | None,
    target_rows: torch.Tensor,
    history_rows: torch.Tensor,
    offsets: torch.Tensor,
    bag_index: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor,
    slope: torch.Tensor,
    score: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of the four parameters, by autograd in float64. ``gradient`` [B, M] is that of the result."""
    parameters = [p.detach().double().requires_grad_() for p in (weight, bias, slope, score)]
    with torch.enable_grad():
        found = _attend(table, scale, target_rows, history_rows, offsets, bag_index, *parameters)
        anchored = (found * gradient.double()).sum() + sum(p.sum() * 0 for p in parameters)  # also where no pair is
        grads = torch.autograd.grad(anchored, parameters)
    return tuple(g.float() for g in grads)  # type: ignore[return-value]


def _attend(
    table: torch.Tensor,
    scale: torch.Tensor | None,
    target_rows: torch.Tensor,
    history_rows: torch.Tensor,
    offsets: torch.Tensor,
    bag_index: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor,
    slope: torch.Tensor,
    score: torch.Tensor,
) -> torch.Tensor:
    results = []
    for b, target_row in enumerate(target_rows.tolist()):
        total = weight.new_zeros(table.shape[1])
        bag = b if bag_index is None else int(bag_index[b])
        for row in history_rows[int(offsets[bag]) : int(offsets[bag + 1])].tolist():
            if target_row == -1 or row == -1:
                continue
            q, k = _vector(table, scale, target_row), _vector(table, scale, row)
            h = weight @ torch.cat([q, k, q - k, q * k]) + bias
            total = total + (score @ torch.where(h > 0, h, slope * h)) * k
        results.append(total)
    return torch.stack(results) if results else weight.new_zeros(0, table.shape[1])


def _vector(table: torch.Tensor, scale: torch.Tensor | None, row: int) -> torch.Tensor:
    assert row >= 0, row
    vector = table[row].double()
    return vector if scale is None else vector * scale[row].double()
