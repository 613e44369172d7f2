"""Losses, metrics of an epoch, and outputs -> class probabilities, for each kind of target.

| kind | last layer | loss |
| --- | --- | --- |
| binary | 1 sigmoid, P(label = 1) | binary cross-entropy |
| classes | K softmax | categorical cross-entropy |
| ordinal | K-1 sigmoids, P(label > k) | mean binary cross-entropy of the K-1 questions |

Labels are class numbers, [batch, 1] float32, for every kind; losses and metrics encode them.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from flags.targets import Target

Floats = NDArray[np.float64]
_PACKAGE = "trainer"


def loss_of(target: Target) -> keras.losses.Loss:
    """Returns the loss that a target's network is trained with."""
    losses = {
        "binary": keras.losses.BinaryCrossentropy,
        "classes": keras.losses.SparseCategoricalCrossentropy,
        "ordinal": OrdinalCrossentropy,
    }
    return losses[target.kind]()


def metrics_of(target: Target) -> list[keras.metrics.Metric]:
    """Makes the metrics of an epoch: accuracy and auc, whatever the kind; pr_auc of two classes.

    The auc of K classes is the mean of one class against the rest; of grades, the mean over
    the questions whether an image is above each grade.
    """
    if target.kind == "binary":
        return [
            keras.metrics.BinaryAccuracy(name="accuracy"),
            keras.metrics.AUC(name="auc"),
            keras.metrics.AUC(name="pr_auc", curve="PR"),
        ]
    if target.kind == "classes":
        auc = ClassesAUC(multi_label=True, num_labels=len(target.names), name="auc")
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy"), auc]
    auc = OrdinalAUC(multi_label=True, num_labels=len(target.names) - 1, name="auc")
    return [keras.metrics.MeanMetricWrapper(ordinal_accuracy, name="accuracy"), auc]


@keras.saving.register_keras_serializable(_PACKAGE)
class OrdinalCrossentropy(keras.losses.Loss):
    """`ordinal_crossentropy` as a loss."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Takes labels [batch, 1], outputs [batch, K-1]; returns [batch]."""
        return ordinal_crossentropy(y_true, y_pred)


@keras.saving.register_keras_serializable(_PACKAGE)
def ordinal_crossentropy(labels: Any, outputs: Any) -> Any:
    """Means the binary cross-entropies of "is the label above k?", k = 0..K-2.

    Cheng et al., A neural network approach to ordinal regression, IJCNN 2008, section III; Niu et
    al., Ordinal regression with multiple output CNN for age estimation, CVPR 2016, section 3.

    Args:
        labels: [batch, 1], 0..K-1.
        outputs: [batch, K-1], 0..1.

    Returns:
        [batch].
    """
    return keras.losses.binary_crossentropy(_above(labels, outputs), outputs)


@keras.saving.register_keras_serializable(_PACKAGE)
def ordinal_accuracy(labels: Any, outputs: Any) -> Any:
    """Returns for each image, [batch], whether its grade is right: the first k not above 0.5.

    Cheng et al. 2008, section III: outputs are scanned in order until one is below the threshold.
    """
    scanned = keras.ops.cumprod(keras.ops.cast(outputs > 0.5, "float32"), axis=-1)
    labels = keras.ops.cast(labels, "float32")[:, 0]
    return keras.ops.cast(keras.ops.equal(keras.ops.sum(scanned, axis=-1), labels), "float32")


@keras.saving.register_keras_serializable(_PACKAGE)
class OrdinalAUC(keras.metrics.AUC):
    """AUC of the K-1 questions whether an image is above grade k, averaged."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes labels [batch, 1], outputs [batch, K-1]."""
        super().update_state(_above(y_true, y_pred), y_pred, sample_weight)


@keras.saving.register_keras_serializable(_PACKAGE)
class ClassesAUC(keras.metrics.AUC):
    """AUC of each class against the rest, averaged."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes labels [batch, 1], outputs [batch, K]."""
        classes = keras.ops.arange(y_pred.shape[-1], dtype="float32")
        same = keras.ops.equal(keras.ops.cast(y_true, "float32"), classes)
        super().update_state(keras.ops.cast(same, "float32"), y_pred, sample_weight)


def class_probabilities(outputs: Floats, target: Target) -> Floats:
    """Turns the network's outputs for each image into a probability of each class.

    The questions of an ordinal network are answered apart and may contradict each other; none is
    taken to be likelier than the one before it.

    Args:
        outputs: [images, outputs of the network], 0..1.
        target: what the network predicts.

    Returns:
        [images, K], rows add up to 1.
    """
    outputs = outputs.astype(np.float64)
    if target.kind == "classes":
        return outputs / outputs.sum(axis=1, keepdims=True)
    above = np.minimum.accumulate(outputs, axis=1)
    ends = np.ones((len(outputs), 1)), np.zeros((len(outputs), 1))
    return -np.diff(np.concatenate([ends[0], above, ends[1]], axis=1), axis=1)


def _above(labels: Any, outputs: Any) -> Any:
    """Encodes labels [batch, 1] as [batch, K-1]: 1 where the label is above k."""
    grades = keras.ops.arange(outputs.shape[-1], dtype="float32")
    return keras.ops.cast(keras.ops.cast(labels, "float32") > grades, "float32")
