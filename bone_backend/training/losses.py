"""What a fit makes small: losses on a network's output.

In:  logits (batch, class, [z,] y, x) of any float dtype; target (batch, [z,] y, x), class indices, any int.
Out: one float32 number, computed in float32 under any autocast, finite whatever classes are absent.
No operation waits for the device, makes int64 copies of the classes, or has a result that depends on the run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..errors import OptionError, called

EPSILON = 1e-7  # smallest denominator, as in segmentation_models_pytorch


class Loss(torch.nn.Module):
    """A loss with class weights and a label that does not count.

    class_weights: one for each class, need not add up to 1. ignore_label: target value that does not count.
    Any other target outside 0 ... classes - 1 does not count either.
    """

    class_weights: Tensor | None

    def __init__(self, *, class_weights: Sequence[float] | None = None, ignore_label: int | None = None):
        super().__init__()
        self.ignore_label = ignore_label
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        if self.class_weights is not None and len(self.class_weights) != logits.shape[1]:
            raise OptionError(
                f"{called('class_weights')} has {len(self.class_weights)} numbers, but the network has "
                f"{logits.shape[1]} classes. Give one for each class, background first."
            )
        with torch.autocast(logits.device.type, enabled=False):
            is_class = _is_class(target, logits.shape[1], self.ignore_label)
            return self.score(logits.float(), is_class)

    def score(self, logits: Tensor, is_class: Tensor) -> Tensor:
        """logits: float32. is_class: bool of the same shape; all false where a voxel does not count."""
        raise NotImplementedError

    def mean_of_classes(self, losses: Tensor) -> Tensor:
        """(class,) -> number; classes that are absent come as 0 and count in the mean."""
        if self.class_weights is None:
            return losses.mean()
        return (losses * self.class_weights).sum() / self.class_weights.sum()


class Tversky(Loss):
    """1 - TP / (TP + alpha FP + beta FN), with soft counts over the whole batch, mean over classes.

    alpha = beta = 1 is the Jaccard loss, 0.5 the Dice loss. A class that the target has not gives 0, as in
    segmentation_models_pytorch, whose losses these equal.
    Salehi et al. 2017, doi 10.1007/978-3-319-67389-9_44.
    """

    def __init__(self, alpha: float, beta: float, **common: object):
        super().__init__(**common)  # type: ignore[arg-type]
        self.alpha, self.beta = alpha, beta

    def score(self, logits: Tensor, is_class: Tensor) -> Tensor:
        share = logits.softmax(dim=1)
        axes = [axis for axis in range(logits.ndim) if axis != 1]
        wanted = is_class.sum(axes).to(share.dtype)
        hit = (share * is_class).sum(axes)
        claimed = (share * is_class.any(1, keepdim=True)).sum(axes)
        whole = hit + self.alpha * (claimed - hit) + self.beta * (wanted - hit)
        return self.mean_of_classes((1 - hit / whole.clamp_min(EPSILON)) * (wanted > 0))


class Focal(Loss):
    """-(1 - p)^gamma log p of the true class, softmax, mean over voxels (Lin et al. 2017, arXiv 1708.02002).

    gamma = 0 is the cross-entropy. With class weights a weighted mean. Prediction takes the softmax for
    confidence, so it is what is trained; segmentation_models_pytorch's FocalLoss takes one sigmoid per class.
    """

    def __init__(self, gamma: float, **common: object):
        super().__init__(**common)  # type: ignore[arg-type]
        self.gamma = gamma

    def score(self, logits: Tensor, is_class: Tensor) -> Tensor:
        log_share = (logits.log_softmax(dim=1) * is_class).sum(1)
        loss = -log_share
        if self.gamma:
            # the slope of x^gamma is infinite at 0 for gamma < 1
            loss = loss * (1 - log_share.exp()).clamp_min(EPSILON).pow(self.gamma)
        if self.class_weights is None:
            return loss.sum() / is_class.sum().clamp_min(1)
        weights = (is_class * self.class_weights.view(-1, *[1] * (logits.ndim - 2))).sum(1)
        return (loss * weights).sum() / weights.sum().clamp_min(EPSILON)


class LovaszSoftmax(Loss):
    """Lovasz extension of the Jaccard loss, over the batch, mean of the classes that the target has.

    Berman et al. 2018, arXiv 1705.08790, algorithm 1. The weight of each error is constant where the order of
    the errors is, so it is found without gradient. Ranks are counted in integers, exact for any batch.
    """

    def score(self, logits: Tensor, is_class: Tensor) -> Tensor:
        share = logits.softmax(dim=1)
        counts = is_class.any(1)
        losses, present = [], []
        for index in range(logits.shape[1]):
            error = torch.where(is_class[:, index], 1 - share[:, index], share[:, index])
            error = torch.where(counts, error, 0.0).flatten()
            losses.append((error * _lovasz_weights(error.detach(), is_class[:, index].flatten())).sum())
            present.append(is_class[:, index].any())
        weights = torch.stack(present).to(share.dtype)
        if self.class_weights is not None:
            weights = weights * self.class_weights
        return (torch.stack(losses) * weights).sum() / weights.sum().clamp_min(EPSILON)


class WeightedSum(torch.nn.Module):
    """weight * first + other * second; other is 1 - weight where nothing is said.

    A region loss and the cross-entropy are added plainly, 1 and 1, as nnU-Net and MONAI's DiceCELoss do
    (Isensee et al. 2021, doi 10.1038/s41592-020-01008-z).
    """

    def __init__(
        self, first: torch.nn.Module, second: torch.nn.Module, weight: float, other: float | None = None
    ):
        super().__init__()
        self.first, self.second, self.weight = first, second, weight
        self.other = 1 - weight if other is None else other

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return self.weight * self.first(logits, target) + self.other * self.second(logits, target)


def _is_class(target: Tensor, classes: int, ignore_label: int | None) -> Tensor:
    """bool (batch, class, ...): where the target is which class."""
    indices = torch.arange(classes, device=target.device, dtype=torch.int64)
    if ignore_label is not None and 0 <= ignore_label < classes:
        indices = torch.where(indices == ignore_label, -1, indices)
    if target.dtype == torch.uint8 or target.dtype == torch.int8:
        target = target.to(torch.int16)
    return target.unsqueeze(1) == indices.to(target.dtype).view(-1, *[1] * (target.ndim - 1))


@torch.no_grad()
def _lovasz_weights(error: Tensor, is_class: Tensor) -> Tensor:
    """What each voxel adds to the Jaccard loss when voxels become wrong in the order of falling error."""
    order = error.argsort(descending=True, stable=True)
    found = is_class[order]
    total = found.sum()
    intersection = total - found.cumsum(0)
    union = total + (~found).cumsum(0)
    # The differences of 1 - I / U from one voxel to the next, each by itself: those of neighbouring floats
    # near 1 would be lost in rounding when there are millions of voxels.
    smaller, larger = intersection.to(error.dtype), union.to(error.dtype)
    step = torch.where(found, 1 / larger.clamp_min(1), smaller / larger / (larger - 1).clamp_min(1))
    return torch.empty_like(step).scatter_(0, order, step)


Builder = Callable[..., torch.nn.Module]

#: name -> loss; every builder takes alpha, beta, gamma, focal_weight and what Loss takes
LOSSES: dict[str, Builder] = {
    "Jaccard": lambda alpha, beta, gamma, focal_weight, **common: Tversky(1.0, 1.0, **common),
    "Dice": lambda alpha, beta, gamma, focal_weight, **common: Tversky(0.5, 0.5, **common),
    "Lovasz-Softmax": lambda alpha, beta, gamma, focal_weight, **common: LovaszSoftmax(**common),
    "Focal": lambda alpha, beta, gamma, focal_weight, **common: Focal(gamma, **common),
    "Tversky": lambda alpha, beta, gamma, focal_weight, **common: Tversky(alpha, beta, **common),
    "Focal Tversky": lambda alpha, beta, gamma, focal_weight, **common: WeightedSum(
        Focal(gamma, **common), Tversky(alpha, beta, **common), focal_weight
    ),
    "Cross-entropy": lambda alpha, beta, gamma, focal_weight, **common: Focal(0.0, **common),
    "Jaccard + Cross-entropy": lambda alpha, beta, gamma, focal_weight, **common: WeightedSum(
        Tversky(1.0, 1.0, **common), Focal(0.0, **common), 1, 1
    ),
    "Dice + Focal": lambda alpha, beta, gamma, focal_weight, **common: WeightedSum(
        Focal(gamma, **common), Tversky(0.5, 0.5, **common), focal_weight
    ),
}


def build_loss(
    name: str,
    *,
    alpha: float = 1.25,
    beta: float = 1.25,
    gamma: float = 2.0,
    focal_weight: float = 0.5,
    class_weights: Sequence[float] | None = None,
    ignore_label: int | None = None,
) -> torch.nn.Module:
    """A loss by its published name.

    alpha, beta: weights of false positives and negatives in Tversky. gamma: of Focal. focal_weight: share of
    Focal in a sum of two losses; the other has 1 - focal_weight (the published "Focal:Tversky weight").
    class_weights: one positive number for each class. ignore_label: target value that does not count.
    The module takes (logits, target). Raises OptionError for an unknown name or unfit weights.
    """
    if name not in LOSSES:
        raise OptionError(f"loss {name!r} is not known. Use one of {', '.join(LOSSES)}.")
    if class_weights is not None and not (min(class_weights, default=0) >= 0 and sum(class_weights) > 0):
        raise OptionError(f"{called('class_weights')} must be 0 or more, and not all 0.")
    return LOSSES[name](
        alpha, beta, gamma, focal_weight, class_weights=class_weights, ignore_label=ignore_label
    )
