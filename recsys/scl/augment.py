"""Augmentation of pictures and texts, by random numbers drawn for a whole step, whatever the ranks."""

import math

import torch
from torch.nn import functional as F

from recsys.scl.config import AugmentConfig


def augment_pictures(pixels: torch.Tensor, draws: torch.Tensor, config: AugmentConfig) -> torch.Tensor:
    """A view of each picture: a part of it, turned, stretched, mirrored, in another light.

    pixels   [B, 3, S, S]  uint8
    draws    [B, 9]        uniform in [0, 1)
    returns  [B, 3, S, S]  uint8; what lies outside is the border's colour
    """
    signed = 2 * draws - 1
    area = config.crop + (1 - config.crop) * draws[:, 0]
    ratio = torch.exp(signed[:, 1] * math.log(config.stretch))
    across, down = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    left, top = signed[:, 2] * (1 - across), signed[:, 3] * (1 - down)
    across = torch.where(draws[:, 4] < config.flip, -across, across)
    turn = signed[:, 5] * math.radians(config.rotate)
    cos, sin = turn.cos(), turn.sin()
    places = torch.stack([across * cos, -down * sin, left, across * sin, down * cos, top], 1).view(-1, 2, 3)
    grid = F.affine_grid(places, list(pixels.size()), align_corners=False)
    x = F.grid_sample(pixels.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    brightness, contrast, saturation = (
        (1 + signed[:, 6 + i] * most).view(-1, 1, 1, 1)
        for i, most in enumerate((config.light, config.light, config.colour))
    )
    x = x * brightness
    mean = x.mean((1, 2, 3), keepdim=True)
    x = mean + (x - mean) * contrast
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * saturation
    return x.round_().clamp_(0, 255).to(torch.uint8)


def augment_texts(ids: torch.Tensor, draws: torch.Tensor, config: AugmentConfig) -> torch.Tensor:
    """Texts with some tokens left out, never the first.

    ids      [B, L]   int64, -1 is padding
    draws    [B, 9]   uniform in [0, 1); a token's own number is made of the row's first and its place
    returns  [B, L]   int64
    """
    place = torch.arange(ids.size(1), dtype=torch.float64)
    of_token = (draws[:, :1].double() * 7919 + place * 0.6180339887498949) % 1
    out = torch.where((of_token < config.words) & (place > 0), -1, ids)
    order = (out < 0).to(torch.uint8).argsort(dim=1, stable=True)  # padding goes behind
    return out.gather(1, order)
