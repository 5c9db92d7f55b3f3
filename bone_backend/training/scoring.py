"""Count agreement of network output and target in integers, on the device, without waiting for it.

In:  logits (batch, class, [z,] y, x) and class indices (batch, [z,] y, x).
Out: int64 (class, class), rows reference, columns prediction; read it only when the numbers are needed.
"""

from __future__ import annotations

import torch


class DeviceCounts:
    """A confusion matrix that grows on the device. Voxels with a negative target do not count."""

    def __init__(self, num_classes: int, device: torch.device):
        self.num_classes = num_classes
        self.matrix = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=device)

    @torch.no_grad()
    def add(self, logits: torch.Tensor, target: torch.Tensor) -> None:
        """Add a batch. Of equal logits the lowest class counts, as in prediction."""
        best = logits.argmax(dim=1)
        seen = [best == column for column in range(self.num_classes)]
        for row in range(self.num_classes):
            here = target == row
            # sums, and no bincount, which waits for the device to learn the largest index
            self.matrix[row] += torch.stack([(here & column).sum() for column in seen])


@torch.no_grad()
def patch_counts(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Confusion matrices of the patches, int64 (patch, class, class); their sum is what DeviceCounts adds."""
    best, number = logits.argmax(dim=1), logits.shape[1]
    seen = [best == column for column in range(number)]
    rows = []
    for row in range(number):
        here = target == row
        rows.append(torch.stack([(here & column).flatten(1).sum(dim=1) for column in seen], dim=1))
    return torch.stack(rows, dim=1)
