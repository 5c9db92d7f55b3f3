r"""Do 3D models of segmentation_models_pytorch_3d give the same here?

In:  segmentation_models_pytorch_3d in a folder of its own, since it asks for an old timm:
     pip install --no-deps --target FOLDER segmentation-models-pytorch-3d timm==0.9.7 timm_3d \
         pretrainedmodels munch six
Out: for each network the largest difference of logits over the largest logit, and the share of equal labels.
Run as `python -m benchmarks.published_3d FOLDER`. Networks are made and computed there by a second Python.
--quick compares one network.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.sidebyside import add_quick
from bone_backend.networks.build import build_network
from bone_backend.networks.inflation import from_hwd
from bone_backend.networks.spec import NetworkSpec

#: of the published list, the backbones that segmentation_models_pytorch_3d 1.0.2 can build
CLASSES = {
    "U-Net": "Unet",
    "UNet++": "UnetPlusPlus",
    "FPN": "FPN",
    "PSPNet": "PSPNet",
    "DeepLabV3+": "DeepLabV3Plus",
    "Linknet": "Linknet",
    "MAnet": "MAnet",
    "PAN": "PAN",
}
BACKBONES = (
    "resnet50",
    "resnext50_32x4d",
    "dpn68",
    "vgg11_bn",
    "densenet121",
    "efficientnet-b0",
    "mobileone_s4",
)
FLAT = ((2, 2, 1), (2, 2, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))  # (height, width, depth)

THERE = """
import sys; sys.path.insert(0, sys.argv[1])
import torch, segmentation_models_pytorch_3d as library
name, backbone, stride, path = sys.argv[2], sys.argv[3], eval(sys.argv[4]), sys.argv[5]
torch.manual_seed(0)
settings = {"strides": stride} if stride else {}
network = getattr(library, name)(backbone, encoder_weights=None, in_channels=1, classes=3, **settings).eval()
for module in network.modules():
    if isinstance(module, torch.nn.BatchNorm3d):
        module.running_mean.normal_(0, 0.1); module.running_var.uniform_(0.5, 2)
patch = torch.randn(1, 1, *((128, 128, 128) if name == "PAN" else (64, 96, 32)))
with torch.no_grad():
    torch.save((network.state_dict(), patch, network(patch)), path)
"""


def compare(title: str, backbone: str, stride: tuple[tuple[int, ...], ...] | None, folder: str) -> str:
    """One row of the table."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "published.pt"
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            THERE,
            folder,
            CLASSES[title],
            backbone,
            str(stride),
            str(path),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        state, patch, expected = torch.load(path, weights_only=True)
    ours = tuple((depth, height, width) for height, width, depth in stride) if stride else None
    spec = NetworkSpec(title, backbone, "3D", 1, 3, stride=ours, align_corners=False)
    network = build_network(spec).eval()
    network.load_state_dict(from_hwd(state))
    with torch.no_grad():
        found = network(patch.permute(0, 1, 4, 2, 3)).permute(0, 1, 3, 4, 2)
    difference = float((found - expected).abs().max() / expected.abs().max())
    equal = float((found.argmax(1) == expected.argmax(1)).float().mean())
    return f"| {title} | {backbone} | {'flat' if stride else '2'} | {difference:.1e} | {equal:.6f} |"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="Where segmentation_models_pytorch_3d is installed.")
    add_quick(parser)
    asked = parser.parse_args(words)
    folder = str(asked.folder.absolute())
    print("| architecture | backbone | stride | difference | equal labels |\n|---|---|---|---|---|")
    if not (asked.folder / "segmentation_models_pytorch_3d").is_dir():
        print("| segmentation_models_pytorch_3d | not installed | | | |")
        return
    for title in ["Linknet"] if asked.quick else CLASSES:
        print(compare(title, "resnet18", None, folder), flush=True)
    if asked.quick:
        return
    for backbone in BACKBONES:
        print(compare("U-Net", backbone, None, folder), flush=True)
    print(compare("U-Net", "resnet18", FLAT, folder), flush=True)


if __name__ == "__main__":
    main()
