"""Calibration against SciPy, scikit-learn and arithmetic by hand."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize, special
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import log_loss

from trainer.evaluation import calibration
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.threshold import Threshold
from trainer.metrics import typed_json
from trainer.metrics.called_class import called_class
from trainer.metrics.predictions import Prediction, two_classes

NAMES = ("benign", "malignant")


def images_of(probabilities, labels) -> list[Prediction]:
    """An image a patient; `probabilities` [images] or [images, K]."""
    rows = np.asarray(probabilities, float)
    return [
        Prediction(
            f"image{place}",
            f"patient{place}",
            int(label),
            probabilities=two_classes(row) if rows.ndim == 1 else tuple(map(float, row)),
        )
        for place, (row, label) in enumerate(zip(rows, labels, strict=True))
    ]


def draw_binary(images: int, *, stretch: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits `stretch` times as far from 0 as the labels warrant."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 1.5, images)
    labels = (generator.random(images) < special.expit(logits)).astype(int)
    return stretch * logits, labels


@pytest.mark.parametrize("stretch", [0.2, 2.5], ids=lambda s: f"{s} times too sure")
def test_temperature_is_that_of_scipy_and_of_a_grid(stretch):
    logits, labels = draw_binary(300, stretch=stretch, seed=1)
    fitted = calibration.fit(images_of(special.expit(logits), labels), label_names=NAMES)

    def loss(logarithm: float) -> float:
        return log_loss(labels, special.expit(logits / np.exp(logarithm)))

    best = optimize.minimize_scalar(loss, bracket=(-1, 1), tol=1e-10)
    assert fitted.temperature == pytest.approx(np.exp(best.x), rel=1e-5)
    grid = np.linspace(-3, 3, 301)
    nearest = grid[np.argmin([loss(place) for place in grid])]
    assert abs(np.log(fitted.temperature) - nearest) <= grid[1] - grid[0]
    assert fitted.used == "temperature"


def test_calibrated_probabilities_are_sigmoids_of_divided_logits():
    logits, labels = draw_binary(80, stretch=3, seed=2)
    images = images_of(special.expit(logits), labels)
    fitted = calibration.fit(images, label_names=NAMES)
    given_back = calibration.apply(fitted, images)
    expected = special.expit(logits / fitted.temperature)
    assert [image.calibrated for image in given_back] == pytest.approx(expected, abs=1e-12)
    assert {image.threshold for image in given_back} == {fitted.threshold.value}
    for image in given_back:
        assert image.calibrated_probabilities == two_classes(image.calibrated)


def test_temperature_of_several_classes_is_that_of_scipy():
    generator = np.random.default_rng(3)
    logits = generator.normal(0, 1, (200, 4))
    labels = [generator.choice(4, p=special.softmax(row)) for row in logits]
    images = images_of(special.softmax(2 * logits, axis=1), labels)
    fitted = calibration.fit(images, label_names="ABCD")

    def loss(temperature: float) -> float:
        return log_loss(labels, special.softmax(2 * logits / temperature, axis=1))

    best = optimize.minimize_scalar(loss, bounds=(0.5, 10), options={"xatol": 1e-9})
    assert fitted.temperature == pytest.approx(best.x, rel=1e-5)
    assert fitted.isotonic is None
    several = "there are more than two classes"
    assert fitted.threshold == Threshold(None, not_defined_because=several)
    expected = special.softmax(2 * logits / fitted.temperature, axis=1)
    for image, row in zip(calibration.apply(fitted, images), expected, strict=True):
        assert image.calibrated_probabilities == pytest.approx(row, abs=1e-12)
        assert image.calibrated == pytest.approx(row[1:].sum(), abs=1e-12)
        assert image.threshold is None


@given(st.lists(st.tuples(st.floats(1e-6, 1 - 1e-6), st.integers(0, 1)), min_size=12, max_size=40))
def test_temperature_keeps_the_order_and_lowers_the_loss(images):
    probabilities, labels = map(np.array, zip(*images, strict=True))
    fitted = calibration.fit(images_of(probabilities, labels), label_names=NAMES)
    assume(fitted.used)
    calibrated = calibration.calibrate(fitted, np.stack([1 - probabilities, probabilities], 1))
    assert calibrated is not None
    assert (np.diff(calibrated[np.argsort(probabilities), 1]) >= -1e-15).all()
    assert log_loss(labels, calibrated[:, 1]) <= log_loss(labels, probabilities) + 1e-9


def test_isotonic_is_that_of_scikit_learn():
    logits, labels = draw_binary(calibration.ISOTONIC_IMAGES, stretch=2, seed=4)
    probabilities = np.round(special.expit(logits), 3)  # with ties
    images = images_of(probabilities, labels)
    fitted = calibration.fit(images, label_names=NAMES)
    assert (fitted.used, fitted.why) == ("isotonic", "1000 validation images or more")
    least = 1 / (len(images) + 2)
    reference = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
    reference.fit(probabilities, labels)
    others = np.linspace(0, 1, 777)
    asked = calibration.apply(fitted, images_of(others, np.zeros(777)))
    assert [image.calibrated for image in asked] == pytest.approx(
        reference.predict(others), abs=1e-12
    )


def test_isotonic_by_hand():
    """Pooled: the false alarm at 0.3 and the find at 0.2 share a half; 4 images: 1/6 to 5/6."""
    curve = calibration.fit_isotonic(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0, 1, 0, 1]))
    assert curve.x == (0.1, 0.2, 0.3, 0.4)
    assert curve.y == pytest.approx([1 / 6, 1 / 2, 1 / 2, 5 / 6])


HALF_RIGHT = [0.9, 0.8, 0.7, 0.4, 0.6, 0.1, 0.2, 0.3, 0.6, 0.4]
LABELS = [1] * 5 + [0] * 5


@pytest.mark.parametrize(
    ("probabilities", "labels", "reason"),
    [
        ([], [], "there are no validation images"),
        ([0.2] * 20, [0] * 20, "all validation images are benign"),
        (HALF_RIGHT[1:], LABELS[1:], "only 4 of 9 validation images are malignant, wanted 5 or mo"),
        (
            [0.9] * 5 + [0.1] * 5,
            LABELS,
            "every validation image has its true class likeliest, so they do not show",
        ),
        ([0.1] * 5 + [0.9] * 5, LABELS, "true classes do not get the higher probabilities"),
        ([0.5] * 10, LABELS, "true classes do not get the higher probabilities"),
    ],
    ids=["none", "one class", "few", "perfect", "inverted", "constant"],
)
def test_no_probability_is_made_up(probabilities, labels, reason):
    fitted = calibration.fit(images_of(probabilities, labels), label_names=NAMES)
    assert fitted.used is None
    assert reason in fitted.not_defined_because
    for image in calibration.apply(fitted, images_of([0.3], [0])):
        assert image.calibrated is None
        assert calibration.confidence_of(image, 0) is None


def test_perfect_separation_far_from_a_half_has_a_temperature():
    """All above 0.5: what matters is who is called what by the softmax, not the order."""
    probabilities = [0.9] * 5 + [0.6] * 5
    fitted = calibration.fit(images_of(probabilities, LABELS), label_names=NAMES)
    logits = special.logit(probabilities)

    def loss(temperature: float) -> float:
        return log_loss(LABELS, special.expit(logits / temperature))

    best = optimize.minimize_scalar(loss, bounds=(0.1, 50), options={"xatol": 1e-9})
    assert fitted.temperature == pytest.approx(best.x, rel=1e-5)


def test_probabilities_of_0_and_1_have_a_finite_logit():
    images = images_of([1, 1, 1, 1, 0, 0, 0, 0, 0, 1], LABELS)
    fitted = calibration.fit(images, label_names=NAMES)
    calibrated = [image.calibrated for image in calibration.apply(fitted, images)]
    # eight of ten are right: what an image of either end is worth
    assert calibrated == pytest.approx([0.8] * 4 + [0.2] * 5 + [0.8], abs=1e-6)


@pytest.mark.parametrize("images", [0, 9, 300, 1200])
def test_the_file_tells_all_that_is_needed(images):
    logits, labels = draw_binary(images, stretch=2, seed=5)
    validated = images_of(special.expit(logits), labels)
    fitted = calibration.fit(validated, label_names=NAMES)
    assert (fitted.images, fitted.patients) == (images, images)
    content = json.loads(json.dumps(typed_json.to_json(fitted), allow_nan=False))
    path = pathlib.Path("calibration.json")
    read = typed_json.from_json(Calibration, content, path=path, remedy="evaluate again")
    assert read == fitted
    assert calibration.apply(read, validated) == calibration.apply(fitted, validated)


def of_two(probability, calibrated=None, *, threshold=None):
    """An image of two classes."""
    return Prediction(
        "f",
        "p",
        0,
        probabilities=two_classes(probability),
        calibrated_probabilities=() if calibrated is None else two_classes(calibrated),
        threshold=threshold,
    )


@pytest.mark.parametrize(
    ("image", "answer", "confidence"),
    [
        (of_two(0.4, 0.45, threshold=0.3), 1, 0.45),
        (of_two(0.3, 0.35, threshold=0.3), 0, 0.65),
        (of_two(0.6, 0.55), 1, 0.55),
        (of_two(0.5), 0, None),
        (
            Prediction(
                "f",
                "p",
                0,
                probabilities=(0.3, 0.1, 0.6),
                calibrated_probabilities=(0.25, 0.25, 0.5),
            ),
            2,
            0.5,
        ),
        (Prediction("f", "p", 0, probabilities=(0.3, 0.1, 0.6)), 2, None),
    ],
    ids=["above", "at the threshold", "without threshold", "bare", "classes", "bare classes"],
)
def test_confidence_is_the_calibrated_probability_of_the_answer(image, answer, confidence):
    assert called_class(image) == answer
    assert calibration.confidence_of(image, answer) == confidence


def test_the_answer_of_grades_is_the_median():
    image = Prediction("f", "p", 0, probabilities=(0.4, 0.35, 0.25))
    assert called_class(image) == 0
    assert called_class(image, ordinal=True) == 1


def test_a_run_evaluated_before_there_was_calibration(tmp_path):
    assert calibration.read(tmp_path) is None


def test_tensorflow_is_not_loaded():
    program = "import sys, trainer.evaluation.calibration; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
