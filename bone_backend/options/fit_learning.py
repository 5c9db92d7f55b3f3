"""How a fit learns, and the machine that it learns on.

In:  plain values of these options.
Out: two groups of FitOptions, each with the faults that lie inside it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ..errors import Fault, called
from .field import AUTO
from .fields import Options, option
from .types import AS_AUTO, DEVICE, FROM_AUTO, PRECISION, Device, Minutes, Precision, WholeOrAuto, as_text


class FitLearning(Options):
    """Epochs, steps, loss, and chance."""

    recipe: Literal["easy", "paper", "quick"] = option(
        "easy",
        group="Fitting",
        label="Recipe",
        often=True,
        help="What the options are that are not given. easy: what gives the best labels in the time there "
        "is, chosen for these scans and this machine. paper: the published settings (Lee et al. 2026). "
        "quick: easy in one minute, to try out. On the command line also a file of your own.",
    )
    minutes: Minutes = option(
        None,
        may_change=True,
        group="Fitting",
        label="How long",
        often=True,
        easy=True,
        unit="min",
        metavar="N|enough|auto",
        none_word=AUTO,
        help="Time for the whole fit, e.g. 5, 30 or 120. The number of steps follows from the speed of this "
        "machine, and the learning rate falls to its end with the time. enough: 5 minutes, then twice as "
        "long again and again, until the validation gains nothing from it any more. auto: 5, or as long as "
        "the epochs take where their number is given.",
    )
    epochs: Annotated[Annotated[int, Field(ge=1, le=100_000)] | None, FROM_AUTO, AS_AUTO] = option(
        None,
        may_change=True,
        group="Fitting",
        label="Number of epochs",
        often=True,
        metavar="N|auto",
        none_word=AUTO,
        help="Passes over all tiles, with a validation after each; where the time is given, parts of it. "
        "auto: as many as the time is parted into, 9 for 5 minutes.",
    )
    batch_size: Annotated[Annotated[int, Field(ge=1, le=4096)] | None, FROM_AUTO, AS_AUTO] = option(
        None,
        group="Fitting",
        label="Batch size",
        unit="patches",
        metavar="N|auto",
        none_word=AUTO,
        help="Patches in one step. auto: 32, of a Plain U-Net on a CPU 8.",
    )
    learning_rate: Annotated[Annotated[float, Field(gt=0, le=10)] | None, FROM_AUTO, AS_AUTO] = option(
        None,
        group="Fitting",
        label="Learning rate",
        metavar="X|auto",
        none_word=AUTO,
        help="At the start; the cosine schedules end at 1e-6. auto: 0.001, of a Plain U-Net 0.005.",
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
    schedule: Literal["cosine", "smooth cosine", "cosine restarts", "one-cycle", "constant"] = option(
        "smooth cosine",
        group="Fitting",
        label="Schedule",
        advanced=True,
        help="How the learning rate changes over the epochs. cosine: at every epoch, as published; smooth "
        "cosine: at every step.",
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
    ] = option(
        "Jaccard + Cross-entropy", group="Fitting", label="Loss function", help="What the fit makes small."
    )
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
    norm_statistics: Literal["auto", "running", "fixed"] = option(
        "auto",
        group="Fitting",
        label="Norm statistics",
        advanced=True,
        help="What batch normalisations go by. running: each batch in training, their moving average in "
        "prediction, as published. fixed: the same in the first half of the epochs; then they are measured "
        "on training patches without augmentation and stay, so that the network learns as it will be used. "
        "auto: fixed for a Plain U-Net that has them, else running.",
    )
    epoch_steps: WholeOrAuto = option(
        None,
        group="Fitting",
        label="Steps per epoch",
        advanced=True,
        metavar="N|auto",
        none_word=AUTO,
        help="Batches in one epoch. auto: as many as one pass over all tiles takes, or as the time allows.",
    )
    validation_patches: WholeOrAuto = option(
        None,
        group="Fitting",
        label="Validation patches",
        advanced=True,
        metavar="N|auto",
        none_word=AUTO,
        help="Of all that the validation tiles give, so many, evenly spread. auto: all, or where the time is "
        "given no more than a tenth of it allows.",
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
    threads: WholeOrAuto = option(
        None,
        may_change=True,
        group="Machine",
        label="Threads",
        advanced=True,
        metavar="N|auto",
        none_word=AUTO,
        help="Processor threads that compute. auto: as many as make a step fastest, measured at the start "
        "and, with a time, before every epoch; a reproducible fit keeps the first number, or without a time "
        "takes one for each core.",
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
