"""Everything that decides the shape of a network, as a value.

In:  names of the catalogue and a few numbers.
Out: a NetworkSpec, which says what cannot be built and what sizes the network takes. Needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..options import catalogue
from ..options.plain_unet import PlainShape


@dataclass(frozen=True)
class NetworkSpec:
    """Everything that decides the shape of a network.

    architecture, backbone: names of the catalogue. plain: of a Plain U-Net, which has no backbone (""). mode:
    "2D", "2.5D" or "3D". in_channels: 1, in 2.5D the slices. num_classes: with background. stride: five
    (z, y, x) triples of a 3D U-Net with a plain resnet, or None. depth_mixing: False gives a 3D network whose
    kernels have depth 1 and which keeps the depth, so that it computes on each slice what the 2D network
    computes. align_corners: False upsamples as the published 3D models do.
    """

    architecture: str
    backbone: str = ""
    mode: str = "2D"
    in_channels: int = 1
    num_classes: int = 2
    stride: tuple[tuple[int, int, int], ...] | None = None
    depth_mixing: bool = True
    align_corners: bool = True
    plain: PlainShape | None = None

    def faults(self) -> list[str]:
        """Why it cannot be built, one sentence each."""
        slices = self.in_channels if self.mode == "2.5D" else None
        faults = catalogue.check(
            *(self.architecture, self.backbone, self.mode),
            slices=slices,
            stride=self.stride,
            plain=self.plain,
        )
        if (self.plain is None) != catalogue.has_backbone(self.architecture):
            faults.append(f"plain is {self.plain}; a Plain U-Net needs a PlainShape, no other network does.")
        if not 1 <= self.num_classes <= catalogue.MAX_CLASSES:
            faults.append(f"num_classes is {self.num_classes}; it goes from 1 to {catalogue.MAX_CLASSES}.")
        if not 1 <= self.in_channels <= 64:
            faults.append(f"in_channels is {self.in_channels}; it goes from 1 to 64.")
        return faults

    @property
    def multiples(self) -> tuple[int, int, int]:
        """What the (z, y, x) size of a patch must be a multiple of."""
        z, y, x = catalogue.size_multiples(
            self.architecture, self.backbone, self.mode, self.stride, plain=self.plain
        )
        return (z if self.depth_mixing else 1, y, x)

    @property
    def minimum(self) -> int:
        """Smallest y or x edge of a patch or chunk, in pixels."""
        return catalogue.minimum_size(self.architecture, self.backbone, self.mode, plain=self.plain)

    @property
    def words(self) -> str:
        """The network without its mode, e.g. "U-Net with resnet18"."""
        named = catalogue.in_words(self.architecture, self.backbone)
        return f"{named} ({self.plain})" if self.plain else named
