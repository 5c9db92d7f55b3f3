"""How a fit learns, and the machine that it learns on.

In:  plain values of these options.
Out: two groups of FitOptions, each with the faults that lie inside it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ..errors import Fault, called
from .fields import Options, option
from .types import DEVICE, PRECISION, Device, Precision, as_text


class FitLearning(Options):
    """Epochs, steps, loss, and chance."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = option(
        25,
        may_change=True,
        group="Fitting",
        label="Number of epochs",
        often=True,
        help="Passes over all tiles.",
    )
    batch_size: Annotated[int, Field(ge=1, le=4096)] = option(
        32, group="Fitting", label="Batch size", often=True, unit="patches", help="Patches in one step."
    )
    learning_rate: Annotated[float, Field(gt=0, le=10)] = option(
        0.001, group="Fitting", label="Learning rate", help="At the start; the cosine schedule ends at 1e-6."
    )
    optimizer: Literal["Adam", "AdamW", "SGD"] = option(
        "Adam", group="Fitting", label="Optimizer", help="How the weights follow the gradient."
    )
    weight_decay: Annotated[float, Field(ge=0, le=0.1)] = option(
        0.01,
        group="Fitting",
        label="Weight decay",
        applies={"optimizer": ("AdamW", "SGD")},
        help="Pulls the weights towards zero.",
    )
    momentum: Annotated[float, Field(ge=0, le=0.99)] = option(
        0.9, group="Fitting", label="Momentum", applies={"optimizer": ("SGD",)}, help="Of SGD."
    )
    schedule: Literal["cosine", "cosine restarts", "one-cycle", "constant"] = option(
        "cosine",
        group="Fitting",
        label="Schedule",
        advanced=True,
        help="How the learning rate changes over the epochs.",
    )
    restart_epochs: Annotated[int, Field(ge=1)] = option(
        10,
        group="Fitting",
        label="Restart every",
        unit="epochs",
        advanced=True,
        applies={"schedule": ("cosine restarts",)},
        help="Length of one cosine.",
    )
    warm_up_epochs: Annotated[float, Field(ge=0, le=1000)] = option(
        0.0,
        group="Fitting",
        label="Warm-up",
        unit="epochs",
        advanced=True,
        help="Epochs over which the rate rises from zero first.",
    )
    early_stopping: Annotated[int, Field(ge=1)] | None = option(
        None,
        may_change=True,
        group="Fitting",
        label="Early stopping",
        unit="epochs",
        advanced=True,
        help="Stop after this many epochs without a better validation score; none: never.",
    )
    accumulate: Annotated[int, Field(ge=1, le=1024)] = option(
        1,
        group="Fitting",
        label="Accumulate",
        unit="batches",
        advanced=True,
        help="Batches whose gradients make one change of the weights.",
    )
    clip_gradient: Annotated[float, Field(gt=0, le=1_000_000)] | None = option(
        None,
        group="Fitting",
        label="Clip gradient",
        advanced=True,
        help="Largest norm of the gradient; none: no limit.",
    )
    loss: Literal[
        "Jaccard",
        "Dice",
        "Lovasz-Softmax",
        "Focal",
        "Tversky",
        "Focal Tversky",
        "Cross-entropy",
        "Jaccard + Cross-entropy",
        "Dice + Focal",
    ] = option("Jaccard", group="Fitting", label="Loss function", help="What the fit makes small.")
    loss_alpha: Annotated[float, Field(ge=0, le=5)] = option(
        1.25,
        group="Fitting",
        label="Alpha",
        applies={"loss": ("Tversky", "Focal Tversky")},
        help="Weight of false positives in the Tversky loss.",
    )
    loss_beta: Annotated[float, Field(ge=0, le=5)] = option(
        1.25,
        group="Fitting",
        label="Beta",
        applies={"loss": ("Tversky", "Focal Tversky")},
        help="Weight of false negatives in the Tversky loss.",
    )
    loss_gamma: Annotated[float, Field(ge=0, le=5)] = option(
        2.0,
        group="Fitting",
        label="Gamma",
        applies={"loss": ("Focal", "Focal Tversky", "Dice + Focal")},
        help="Focus on hard voxels.",
    )
    focal_weight: Annotated[float, Field(ge=0.1, le=0.9)] = option(
        0.5,
        group="Fitting",
        label="Focal weight",
        applies={"loss": ("Focal Tversky", "Dice + Focal")},
        help="Share of the Focal loss in the sum; the rest goes to the other loss.",
    )
    class_weights: tuple[Annotated[float, Field(ge=0, le=1000)], ...] = option(
        (),
        metavar="WEIGHT",
        group="Fitting",
        label="Class weights",
        advanced=True,
        help="One number for each class, background first: how much it counts in the loss. None: 1 for all.",
    )
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = option(
        42,
        group="Fitting",
        label="Random seed",
        help="Of split, first weights, patches and augmentation; the same seed draws the same numbers.",
    )
    reproducible: bool = option(
        False,
        group="Fitting",
        label="Reproducibility mode",
        help="Deterministic kernels too: the same machine and options give the same weights, bit for bit.",
    )

    def cross_faults(self) -> list[Fault]:
        faults = super().cross_faults()
        if self.class_weights and not any(self.class_weights):
            faults.append(Fault(f"{called('class_weights')} are all 0; at least one class must count."))
        return faults


class FitMachine(Options):
    """Device, precision, and threads."""

    device: Device = DEVICE
    gpus: Annotated[str, Field(pattern=r"^(all|[1-9]\d{0,3})$"), BeforeValidator(as_text)] = option(
        "1",
        may_change=True,
        group="Machine",
        label="GPUs",
        choices=("1", "all"),
        metavar="N|all",
        help="GPUs of this machine that fit together, each with a share of every batch. With device cpu: so "
        "many processes, "
        "to try it out.",
    )
    precision: Precision = PRECISION
    compile: bool = option(
        False,
        may_change=True,
        group="Machine",
        label="Compile",
        advanced=True,
        help="Compile the network with torch.compile at the first steps: a minute or more at the start, "
        "faster steps on a GPU, no gain on a CPU. Needs a C++ compiler; on a GPU Triton too.",
    )
    loader_threads: Annotated[int, Field(ge=1, le=64)] = option(
        2,
        may_change=True,
        group="Machine",
        label="Loader threads",
        advanced=True,
        help="Threads that read patches ahead; any number gives the same result.",
    )

    def cross_faults(self) -> list[Fault]:
        faults = super().cross_faults()
        if self.gpus != "1" and self.device.startswith("cuda:"):
            told = f"{called('gpus')} is {self.gpus}, but {called('device')} names one GPU, {self.device}."
            faults.append(Fault(f"{told} Use {called('device')} cuda or auto."))
        return faults
