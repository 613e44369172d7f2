"""A finished run folder -> networks that predict images, with calibration and warnings.

run = open_run(pathlib.Path("runs/a"))
prediction = run.predict(image.record)

A run is one network, or several that are averaged: a cross-validation's folds, an ensemble's
members.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from absl import logging
from numpy.typing import NDArray

from flags import datasets, targets, tta_config
from flags.targets import Target
from records import version
from records.errors import CallerError
from records.preprocessing import Preparation
from trainer.data import dataset, image_file, run_folder, training_statistics
from trainer.data.run_json import RunDescription
from trainer.data.training_statistics import Finding
from trainer.evaluation import calibration, discrimination, test_time_augmentation
from trainer.evaluation.calibration import Calibration
from trainer.inference import image_prediction
from trainer.inference.image_prediction import Formatter
from trainer.metrics.metrics_json import Metrics
from trainer.metrics.predictions import ClassProbabilities, as_probabilities
from trainer.model import losses, network_input, own_backbone, side_inputs

_NOT_EVALUATED = "this run was never evaluated: how good it is nobody knows"
_SYNTHETIC = "the network learned from synthetic phantoms: of real images it knows nothing"


@dataclasses.dataclass(frozen=True)
class Network:
    """One network of a run.

    Attributes:
        model: [batch, height, width, 1] uint16 -> its outputs.
        calibration: content of calibration.json, None if it was evaluated before that was.
        known: what `training_statistics.compare` needs of its training images, None if it is lost.
    """

    model: keras.Model
    calibration: Calibration | None
    known: dict[str, Any] | None


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """The networks of a run, and what is known of them.

    Attributes:
        directory: the run folder.
        description: content of its run.json.
        preparation: how its images became pixels.
        target: what its networks predict.
        networks: those that are averaged.
        calibration: of the average, None where each network has its own.
        scores: content of its metrics.json, None if it was never evaluated.
    """

    directory: pathlib.Path
    description: RunDescription
    preparation: Preparation
    target: Target
    networks: tuple[Network, ...]
    calibration: Calibration | None
    scores: Metrics | None = None

    @property
    def evaluation(self) -> dict[str, Any]:
        """How well it tells its classes apart: AUC, interval, and on which images."""
        if self.scores is None:
            return dict.fromkeys(("auc", "auc_low", "auc_high")) | {"evaluated": _NOT_EVALUATED}
        auc = self.scores["auc"]
        return {
            "auc": auc.value,
            "auc_low": auc.low,
            "auc_high": auc.high,
            "evaluated": f"{discrimination.describe(self.scores)} of {self.description.dataset}",
        }

    @property
    def formatter(self) -> Formatter:
        """Formats its predictions."""
        return Formatter(self.target.names, self.target.kind == "ordinal")

    @property
    def medium(self) -> str:
        """What its training images are: film, digital, or "" if not known."""
        return datasets.DATASETS[self.description.dataset].medium

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before any of its predictions is read."""
        learned = [self.calibration] if self.calibration else [n.calibration for n in self.networks]
        uncalibrated = {_why_uncalibrated(one) for one in learned} - {None}
        unknown = {_why_unknown(network.known) for network in self.networks}
        warnings = discrimination.warn(self.scores) if self.scores else [_NOT_EVALUATED]
        if self.description.synthetic:
            warnings.append(_SYNTHETIC)
        if uncalibrated:
            reasons = "; ".join(sorted(map(str, uncalibrated)))
            warnings.append(f"probabilities are not calibrated: {reasons}")
        if None not in unknown:
            reasons = "; ".join(sorted(map(str, unknown)))
            warnings.append(f"images are not compared with the training images: {reasons}")
        return tuple(warnings)

    @property
    def introduction(self) -> tuple[str, ...]:
        """Lines to read before any of its predictions."""
        warnings = (f"warning: {warning}" for warning in self.warnings)
        return (version.NOTICE, *warnings, self.evaluation["evaluated"])

    def describe(self) -> dict[str, Any]:
        """Returns its entry of predictions.json."""
        keys = ("dataset", "synthetic", "size", "recipe", "unit", "data_fingerprint", "target")
        return {
            "program": version.describe(),
            "finished": version.now(),
            "run": str(self.directory),
            "run_finished": self.description.finished,
            "run_program": self.description.program,
            **{key: getattr(self.description, key) for key in keys},
            "classes": list(self.target.names),
            "networks": len(self.networks),
            "evaluation": self.evaluation,
            "warnings": list(self.warnings),
        }

    def trained_on(self, record: NDArray[np.uint16], *, digests: str = "digests") -> bool:
        """Whether one of its networks learned from these very pixels.

        Args:
            record: [height, width, 1] uint16.
            digests: "validation_digests" says whether they chose its best epoch instead.
        """
        digest = training_statistics.digest(record)
        return any(digest in (one.known or {}).get(digests, ()) for one in self.networks)

    def not_stated(self, columns: Mapping[str, str]) -> tuple[str, ...]:
        """Names what its networks take beside the pixels and is not stated for an image."""
        found = [
            line
            for network in self.networks
            for line in side_inputs.not_stated(side_inputs.columns_of(network.model), columns)
        ]
        return tuple(dict.fromkeys(found))

    def predict(self, record: Any, columns: Mapping[str, str] | None = None) -> ClassProbabilities:
        """Predicts one record, as its networks take it: an image is [height, width, 1] uint16.

        Args:
            record: pixels, and which views are there where it holds several.
            columns: what is known of it beside the pixels.

        Raises:
            CallerError: a network gives no number for it.
        """
        predicted = [self._predict(network, record, columns or {}) for network in self.networks]
        if self.calibration is not None:
            return calibration.apply(self.calibration, [image_prediction.average(predicted)])[0]
        return image_prediction.average(
            [
                calibration.apply(network.calibration, [one])[0] if network.calibration else one
                for network, one in zip(self.networks, predicted, strict=True)
            ]
        )

    def _predict(
        self, network: Network, record: Any, columns: Mapping[str, str]
    ) -> ClassProbabilities:
        names = self.description.test_time_augmentation or tta_config.NONE
        seen = test_time_augmentation.views(names, self.preparation.size)
        batch = side_inputs.complete(network.model, network_input.batch_of([record]), [columns])
        outputs = test_time_augmentation.predict(network.model, batch, seen)
        row = losses.class_probabilities(np.concatenate(outputs), self.target).mean(axis=0)
        return ClassProbabilities(probabilities=as_probabilities(row))

    def compare(self, record: NDArray[np.uint16], native_size: tuple[int, int]) -> Finding | None:
        """Measures how unlike the training images an image is; of several networks the least.

        Returns:
            None if nothing is known of the training images.
        """
        measured = training_statistics.measure(record)
        findings = [
            training_statistics.compare(network.known, measured, native_size)
            for network in self.networks
            if network.known is not None
        ]
        return min(findings, key=lambda one: (len(one.reasons), one.distance or 0), default=None)


def open_run(directory: pathlib.Path) -> FinishedRun:
    """Loads the networks of a run folder, a cross-validation's or an ensemble's.

    Raises:
        CallerError: the folder holds no run, one that is not finished, or one that does not state
            how its images were prepared.
    """
    members = run_folder.members_finished(directory)
    preparation = image_file.read_preparation(directory)
    description = run_folder.read_description(directory)
    return FinishedRun(
        directory,
        description,
        preparation,
        target_of(description),
        tuple(_load(member) for member in members),
        calibration.read(directory),
        _read_metrics(directory),
    )


def _read_metrics(directory: pathlib.Path) -> Metrics | None:
    if not (directory / run_folder.METRICS).is_file():
        return None
    return run_folder.read_metrics(directory)


def target_of(description: RunDescription) -> Target:
    """Reads the target of a run, without the grades none of its images has, from its run.json."""
    target = targets.TARGETS[description.target]
    kind: Any = description.kind or target.kind
    return dataclasses.replace(target, names=description.label_names, kind=kind)


def _why_uncalibrated(fitted: Calibration | None) -> str | None:
    if fitted is None:
        return (
            "it was evaluated before calibration was known; evaluate it again with "
            "python -m trainer evaluate, a cross-validation with the command that began it"
        )
    return None if fitted.used else fitted.not_defined_because


def _why_unknown(known: dict[str, Any] | None) -> str | None:
    """Returns why images can't be compared with a network's training images; None if they can."""
    if known is None:
        return "nothing is known of them, their records are gone"
    reason: str | None = known["cloud"].get("not_defined_because")
    return reason


def _load(directory: pathlib.Path) -> Network:
    return Network(
        own_backbone.load_network(directory / "model.keras"),
        calibration.read(directory),
        _read_training_images(directory),
    )


def _read_training_images(directory: pathlib.Path) -> dict[str, Any] | None:
    """Reads what the training images look like; measures them if their records are still there."""
    path = directory / training_statistics.FILE
    if not path.is_file():
        try:
            _, data = dataset.open_again(directory, with_test=False)
        except CallerError as error:
            logging.info("%s: its training images can't be measured: %s", directory, error)
            return None
        training_statistics.write(directory, data)
    return run_folder.read_json(path)
