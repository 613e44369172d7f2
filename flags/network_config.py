"""Flags of the network: its base, what stands before and after it, its head."""

from __future__ import annotations

import dataclasses

from flags import own_base
from flags.fields import Flags, flag
from records.errors import CallerError

_BASE_CLASSES = (
    *("MobileNetV2", "VGG19", "ResNet50", "InceptionV3", "DenseNet121", "VGG16"),  # the papers'
    *("ConvNeXtTiny", "ConvNeXtSmall", "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtXLarge"),
    *("DenseNet169", "DenseNet201"),
    *(f"EfficientNetB{number}" for number in range(8)),
    *("EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3"),
    *("EfficientNetV2S", "EfficientNetV2M", "EfficientNetV2L"),
    *("InceptionResNetV2", "MobileNet", "MobileNetV3Small", "MobileNetV3Large"),
    *("NASNetMobile", "NASNetLarge", "ResNet101", "ResNet152"),
    *("ResNet50V2", "ResNet101V2", "ResNet152V2", "Xception"),
)
BASES = {name.lower(): name for name in _BASE_CLASSES}
"""Flag value -> class name in keras.applications; written down so that no name needs TensorFlow."""
HEADS = {
    "gap": "global average pooling, then the hidden layers",
    "flatten": "flatten, then the hidden layers, as published: 42-268 million weights",
}
WEIGHTS = {
    "auto": "ImageNet if at hand or downloadable, else random with a warning",
    "imagenet": "ImageNet or an error",
    "random": "none",
    "PATH.h5": "a .weights.h5 or .h5 file of keras.applications without top",
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
JOINS = {
    "auto": "none where a record is one image, else mean",
    "mean": "one network, its probabilities averaged over the views",
    "concat": "one base, the views' feature maps joined, two MBConv blocks (Petrini and Kim 2025)",
    "attention": "one base, gated attention within each side, then over sides (Pathak et al. 2023)",
    "cc_mlo": "a column for CC and one for MLO, pooled features joined (Wu et al. 2020)",
}
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


@dataclasses.dataclass(frozen=True)
class Network(Flags):
    """Layers of a network and the weights it starts from."""

    base: str = flag(
        "mobilenetv2",
        "Network under the head",
        choices=dict.fromkeys((*BASES, own_base.FORM), ""),
        other=own_base.is_own,
        note="A function of one's own, also package.module:FUNCTION, makes (height, width, "
        "weights) a Keras model of features.",
        place=True,
    )
    input_range: str | None = flag(
        None,
        f"Range of the pixels that a base of one's own takes: {own_base.RANGES}.",
        late=True,
    )
    alpha: float = flag(
        1.0,
        "Width of the base: "
        + "; ".join(f"{base} {', '.join(map(str, widths))}" for base, widths in ALPHAS.items())
        + ".",
    )
    weights: str = flag(
        "auto",
        "Weights the base starts from",
        choices=WEIGHTS,
        other=lambda text: text.endswith(".h5"),
        place=True,
    )
    input_scaling: str = flag("base", "Range of the pixels the base gets", choices=INPUT_SCALINGS)
    downsample_sets: str = flag(
        "0", "Convolutions that halve the image before the base", choices=DOWNSAMPLE_SETS
    )
    conv_after: str = flag("0", "Convolutions after the base", choices=CONV_AFTER)
    views: str = flag(
        "auto", "How the views of a breast or examination are joined", choices=JOINS, late=True
    )
    head: str = flag("gap", "Between base and output", choices=HEADS)
    hidden: str = flag("512,32", "Units of each hidden layer, such as 512,32; none for none.")
    activation: str = flag("relu", "Of the hidden layers", choices=ACTIVATIONS)
    dropout: float = flag(0.2, "Dropout before the head.", low=0, high=0.95)
    batch_norm: bool = flag(False, "Batch normalisation before each hidden activation.")
    l2: float = flag(
        0.0,
        "L2 penalty on kernels of all layers but the base's, such as 1e-5.",
        low=0,
        below=1,
        remedy="1e-5 is usual, 0 is none",
    )

    def check(self) -> None:
        """Refuses what no network can be built from."""
        super().check()
        self._check_own_base()
        widths = ALPHAS.get(self.base, (1.0,))
        if self.alpha not in widths and self.base not in ALPHAS:
            raise CallerError(
                f"--alpha={self.alpha} goes with --base={' or '.join(ALPHAS)} only; "
                f"{self.base} has one width"
            )
        if self.alpha not in widths:
            raise CallerError(
                f"--alpha={self.alpha} is not one of {', '.join(map(str, widths))} ({self.base})"
            )
        if self.input_scaling == "paper" and self.base.startswith(SCALE_INSIDE):
            raise CallerError(
                f"--input_scaling=paper: {self.base} divides by 255 itself and would see black; "
                "leave the flag out"
            )
        if self.head == "flatten" and self.views in ("attention", "cc_mlo"):
            raise CallerError(
                f"--head=flatten: --views={self.views} joins pooled features; take --head=gap, or "
                "--views=mean or concat"
            )
        hidden_units(self.hidden)

    def _check_own_base(self) -> None:
        own = own_base.is_own(self.base)
        if own:
            own_base.split(self.base)
        if own == (self.input_range is None):
            wanted = f"needs --input_range: {own_base.RANGES}" if own else "has a range of its own"
            given = "" if own else f"; leave out --input_range={self.input_range}"
            raise CallerError(f"--base={self.base} {wanted}{given}")
        if self.input_range is not None:
            own_base.check_range(self.input_range)
            if self.input_scaling == "paper":
                raise CallerError(
                    "--input_scaling=paper does not go with a base of one's own; its range is "
                    "--input_range"
                )


def join_of(views: str) -> str:
    """Returns how records of several views are joined by a value of --views."""
    return "mean" if views == "auto" else views


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
