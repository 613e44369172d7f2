"""What the network can be told: its base, what stands before and after it, its head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from absl import flags

from flags import catalogue
from records.errors import CallerError

if TYPE_CHECKING:
    from flags.training import TrainingConfig

HEADS = {
    "gap": "global average pooling, then the hidden layers",
    "flatten": "flatten, then the hidden layers, as published: 42-268 million weights",
}
WEIGHTS = {
    "auto": "ImageNet if at hand or downloadable, else random with a warning",
    "imagenet": "ImageNet or an error",
    "random": "none",
}
INPUT_SCALINGS = {
    "base": "what the base's ImageNet weights were trained on",
    "paper": "[0, 1] straight into the base, whatever it expects, as the published code had it",
}
DOWNSAMPLE_SETS = {
    "0": "none",
    "1": "convolutions 64 and 32 of 5x5, 2x2 maximum",
    "2": "two convolutions 16 of 7x7, 2x2 maximum, two of 32 of 5x5, 2x2 maximum",
    "auto": "by the longer side: 0 below 1024, 1 below 2048, else 2",
}
CONV_AFTER = {"0": "none", "1": "two convolutions 1024 of 3x3, 2x2 maximum"}
ACTIVATIONS = {
    "relu": "max(x, 0), as published",
    "leaky_relu": "0.2 x below 0",
    "prelu": "a slope below 0 that is learned for every unit",
    "sigmoid": "1 / (1 + exp(-x))",
    "tanh": "from -1 to 1",
}
ALPHAS = {
    "mobilenet": (0.25, 0.5, 0.75, 1.0),
    "mobilenetv2": (0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
    "mobilenetv3small": (0.75, 1.0),
    "mobilenetv3large": (0.75, 1.0),
}
"""Widths that have ImageNet weights, of the bases that come in several."""
SCALE_INSIDE = ("convnext", "efficientnet", "mobilenetv3")
"""Beginnings of the names of bases whose first layers scale 0..255 themselves."""
LARGEST_HIDDEN = 65536


def check(config: TrainingConfig) -> None:
    """Refuses what no network can be built from.

    Raises:
        CallerError: one line saying which flag, and what would do.
    """
    for flag, name, known in (
        ("base", config.base, catalogue.BASES),
        ("head", config.head, HEADS),
        ("input_scaling", config.input_scaling, INPUT_SCALINGS),
        ("downsample_sets", config.downsample_sets, DOWNSAMPLE_SETS),
        ("conv_after", config.conv_after, CONV_AFTER),
        ("activation", config.activation, ACTIVATIONS),
    ):
        catalogue.check_name(flag, name, known)
    _check_alpha(config)
    if not config.weights.endswith(".h5"):
        catalogue.check_name("weights", config.weights, (*WEIGHTS, "PATH.h5"))
    if not 0 <= config.dropout < 1:
        raise CallerError(f"--dropout={config.dropout} is not in 0 to 1")
    if not 0 <= config.l2 < 1:
        raise CallerError(f"--l2={config.l2} is not in 0 to 1; 1e-5 is usual, 0 is none")
    if config.input_scaling == "paper" and config.base.startswith(SCALE_INSIDE):
        raise CallerError(
            f"--input_scaling=paper: {config.base} divides by 255 itself and would see black; "
            "leave the flag out"
        )
    hidden_units(config.hidden)


def hidden_units(text: str) -> tuple[int, ...]:
    """Reads --hidden: "512,32", or "none".

    Raises:
        CallerError: something in it is no whole number from 1 to 65536.
    """
    if text.strip() == "none":
        return ()
    units = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if not all(1 <= number <= LARGEST_HIDDEN for number in units):
        raise CallerError(
            f"--hidden={text} is not a list of layer sizes from 1 to {LARGEST_HIDDEN} such as "
            "512,32, or none"
        )
    return tuple(units)


def define(default: TrainingConfig) -> None:
    """Defines the flags on absl's FLAGS, with the defaults of a configuration."""
    text, fraction = flags.DEFINE_string, flags.DEFINE_float
    text("base", default.base, f"Network under the head: {', '.join(catalogue.BASES)}.")
    fraction(
        "alpha",
        default.alpha,
        "Width of the base: "
        + "; ".join(f"{base} {', '.join(map(str, widths))}" for base, widths in ALPHAS.items())
        + ".",
    )
    text(
        "weights",
        default.weights,
        catalogue.describe("Weights the base starts from", WEIGHTS)[:-1]
        + "; or the path of a .weights.h5 or .h5 file of keras.applications without top.",
    )
    for name, lead, known in (
        ("input_scaling", "Range of the pixels the base gets", INPUT_SCALINGS),
        ("downsample_sets", "Convolutions that halve the image before the base", DOWNSAMPLE_SETS),
        ("conv_after", "Convolutions after the base", CONV_AFTER),
        ("head", "Between base and output", HEADS),
        ("activation", "Of the hidden layers", ACTIVATIONS),
    ):
        text(name, getattr(default, name), catalogue.describe(lead, known))
    text("hidden", default.hidden, "Units of each hidden layer, such as 512,32; none for none.")
    fraction(
        "dropout", default.dropout, "Dropout before the head.", lower_bound=0, upper_bound=0.95
    )
    flags.DEFINE_bool(
        "batch_norm", default.batch_norm, "Batch normalisation before each hidden activation."
    )
    fraction("l2", default.l2, "L2 penalty on kernels of all layers but the base's, such as 1e-5.")


def _check_alpha(config: TrainingConfig) -> None:
    if config.base not in ALPHAS:
        if config.alpha != 1.0:
            raise CallerError(
                f"--alpha={config.alpha} goes with --base={' or '.join(ALPHAS)} only; "
                f"{config.base} has one width"
            )
        return
    widths = ALPHAS[config.base]
    if config.alpha not in widths:
        raise CallerError(
            f"--alpha={config.alpha} is not one of {', '.join(map(str, widths))} ({config.base})"
        )
