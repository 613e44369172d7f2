"""Tests of what a finished run predicts: averages of networks and views, calibration, warnings."""

import pathlib

import keras
import numpy as np
import pytest
from scipy.special import expit, logit

from flags import targets
from records.errors import CallerError
from records.image_size import ImageSize
from records.preprocessing import Preparation
from tests import make
from trainer.data import run_folder, training_statistics
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.threshold import Threshold
from trainer.inference.finished_model import FinishedRun, Network
from trainer.inference.image_prediction import Formatter
from trainer.metrics.predictions import ClassProbabilities

SIZE = ImageSize(6, 4)
FOLD = {"minutes": 1.0, "splits": {}, "metrics": {}}
RECORD = np.random.default_rng(0).integers(0, 65536, (6, 4, 1), np.uint16)
LEFT = RECORD[:, :2].mean() / 65535
RIGHT = RECORD[:, 2:].mean() / 65535


def network(scale: float, *, learned: dict | None = None, known: dict | None = None) -> Network:
    """Says `scale` times how bright the left half of a record is."""
    pixels = keras.Input((6, 4, 1), dtype="uint16")
    grey = keras.layers.Rescaling(scale / 65535, dtype="float32")(pixels)
    left = keras.layers.Cropping2D(((0, 0), (0, 2)))(grey)
    return Network(keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(left)), learned, known)


def calibrated(temperature: float, threshold: float | None) -> Calibration:
    return Calibration(9, 9, temperature, None, "temperature", Threshold(threshold))


def run_of(*networks: Network, calibration: Calibration | None = None, **described) -> FinishedRun:
    return FinishedRun(
        pathlib.Path("run"),
        make.described(**{"dataset": "mini_mias", **described}),
        Preparation("resize:pad", SIZE, 10**6),
        targets.TARGETS["pathology"],
        networks,
        calibration,
    )


def test_networks_are_averaged_each_with_its_own_calibration():
    """Folds of a cross-validation."""
    found = run_of(
        network(0.5, learned=calibrated(2.0, 0.3)), network(0.8, learned=calibrated(0.5, 0.4))
    ).predict(RECORD)
    assert found.probability == pytest.approx(0.65 * LEFT, rel=1e-6)
    wanted = [expit(logit(0.5 * LEFT) / 2.0), expit(logit(0.8 * LEFT) / 0.5)]
    assert found.calibrated == pytest.approx(np.mean(wanted), rel=1e-6)
    assert found.threshold == pytest.approx(0.35)


def test_an_average_may_have_its_own_calibration():
    """An ensemble's; those of its members do not count."""
    members = [network(scale, learned=calibrated(9.0, 0.9)) for scale in (0.5, 0.8)]
    found = run_of(*members, calibration=calibrated(2.0, 0.2)).predict(RECORD)
    assert found.calibrated == pytest.approx(expit(logit(0.65 * LEFT) / 2), rel=1e-6)
    assert found.threshold == 0.2


def test_what_one_network_lacks_is_left_out():
    found = run_of(network(0.5, learned=calibrated(2.0, None)), network(0.8)).predict(RECORD)
    assert found.probability == pytest.approx(0.65 * LEFT, rel=1e-6)
    assert (found.calibrated, found.threshold) == (None, None)


def test_no_number_is_no_prediction():
    with pytest.raises(CallerError, match="probability nan"):
        run_of(network(float("nan")), network(0.5)).predict(RECORD)


def test_views_of_test_time_augmentation_are_averaged():
    found = run_of(network(0.5), test_time_augmentation="flip").predict(RECORD)
    assert found.probability == pytest.approx(0.25 * (LEFT + RIGHT), rel=1e-6)
    assert abs(LEFT - RIGHT) > 0.01


def test_a_image_is_unlike_only_if_it_is_to_every_network():
    patients = [str(number) for number in range(30)]
    measured = training_statistics.measure(RECORD)
    clouds = [
        training_statistics.fit(
            measured + shift + 0.1 * np.random.default_rng(1).standard_normal((30, 8)),
            patients,
            [(6, 4)] * 30,
        )
        for shift in (0.0, 5.0)
    ]
    like, unlike = (network(0.5, known=cloud) for cloud in clouds)
    assert run_of(unlike).compare(RECORD, (6, 4)).reasons
    assert not run_of(unlike, like, network(0.5)).compare(RECORD, (6, 4)).reasons
    assert run_of(network(0.5)).compare(RECORD, (6, 4)) is None


def test_three_classes():
    pixels = keras.Input((6, 4, 1), dtype="uint16")
    start = keras.layers.Rescaling(0.0, dtype="float32")(pixels)
    bias = keras.initializers.Constant(np.log([0.2, 0.5, 0.3]))
    fractions = keras.layers.Dense(3, "softmax", bias_initializer=bias)(
        keras.layers.GlobalAveragePooling2D()(start)
    )
    run = FinishedRun(
        pathlib.Path("run"),
        make.described(),
        Preparation("resize:pad", SIZE, 10**6),
        targets.TARGETS["three_class"],
        (Network(keras.Model(pixels, fractions), None, None),),
        None,
    )
    told = run.formatter.columns(run.predict(RECORD))
    assert told["class"] == "benign"
    assert told["threshold"] is None
    assert told["probability"] == pytest.approx(0.8, abs=1e-6)
    of_classes = [told[f"probability of {name}"] for name in ("normal", "benign", "malignant")]
    assert of_classes == pytest.approx([0.2, 0.5, 0.3], abs=1e-6)
    said = run.formatter.sentence(run.predict(RECORD))
    assert said == "benign (normal 0.200, benign 0.500, malignant 0.300)"
    assert set(run.formatter.columns(None)) == set(told)


def test_the_threshold_stands_by_the_probability_it_is_of():
    one = ClassProbabilities(
        probabilities=(0.548, 0.452), calibrated_probabilities=(0.628, 0.372), threshold=0.438
    )
    said = Formatter(("no cancer", "cancer")).sentence(one)
    assert said == "cancer (probability of cancer 0.452, threshold 0.438; calibrated 0.372)"


@pytest.mark.parametrize(
    ("description", "wanted"),
    [
        ({}, ["runs/x"]),
        (
            {"folds": [{**FOLD, "run": "fold0"}, {**FOLD, "run": "fold1"}]},
            ["runs/x/fold0", "runs/x/fold1"],
        ),
        ({"members": ["../a", "../b"]}, ["runs/x/../a", "runs/x/../b"]),
    ],
    ids=["a network", "a cross-validation", "an ensemble"],
)
def test_runs_of_one_network_each(description, wanted):
    found = run_folder.members_of(pathlib.Path("runs/x"), make.described(**description))
    assert [member.as_posix() for member in found] == wanted


def test_warnings_say_what_is_not_known():
    reason = "there are no validation images"
    why = Calibration(0, 0, None, None, None, Threshold(None), not_defined_because=reason)
    never, first, second, third = run_of(network(0.5, learned=why), synthetic=True).warnings
    assert "never evaluated" in never
    assert first == "the network learned from synthetic phantoms: of real images it knows nothing"
    assert second == "probabilities are not calibrated: there are no validation images"
    assert third.startswith("images are not compared with the training images: nothing is known")
    few = network(0.5, learned=calibrated(1.0, 0.5), known={"cloud": {"not_defined_because": "2"}})
    assert run_of(few).warnings == (
        never,
        "images are not compared with the training images: 2",
    )
    whole = network(0.5, learned=calibrated(1.0, 0.5), known={"cloud": {"limit": 4.5}})
    assert run_of(whole, few).warnings == (never,)
