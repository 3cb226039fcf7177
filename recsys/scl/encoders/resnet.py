"""ResNet image encoder, a small one for pictures of 64 to 128 pixels, which trains on a CPU in minutes."""

import torch
from torch import nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Pixels(nn.Module):
    """uint8 [B, 3, S, S] into float32 with the mean and deviation that a network expects."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD) -> None:
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return ((pixels.float() - self.mean) / self.std).contiguous(memory_format=torch.channels_last)


class Block(nn.Module):
    """Two convolutions beside a shortcut (He et al., 2016)."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(inner, outer, 3, stride, 1, bias=False), norm(outer), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(outer, outer, 3, 1, 1, bias=False), norm(outer))
        same = stride == 1 and inner == outer
        self.shortcut = nn.Identity() if same else nn.Conv2d(inner, outer, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.second(self.first(x)) + self.shortcut(x)).relu()


def norm(channels: int) -> nn.Module:
    """BatchNorm over [B, channels, H, W]."""
    return nn.BatchNorm2d(channels)


def resnet(channels: list[int], blocks: int) -> nn.Module:
    """uint8 [B, 3, S, S] into features [B, channels[-1]]: a stem that halves S, then a stage for each of ``channels``,
    which halve it again but for the first.
    """
    inner = channels[0]
    layers: list[nn.Module] = [Pixels(), nn.Conv2d(3, inner, 3, 2, 1, bias=False), norm(inner), nn.ReLU()]
    for stage, outer in enumerate(channels):
        for block in range(blocks):
            layers.append(Block(inner, outer, 2 if stage and not block else 1))
            inner = outer
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    # convolutions in bfloat16 take a quarter less time on a CPU; torch's annotations lack the argument
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
