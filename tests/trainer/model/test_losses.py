"""Losses and metrics of an epoch against NumPy and scikit-learn."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import accuracy_score, roc_auc_score

from flags.targets import TARGETS
from trainer.metrics.called_class import called_classes
from trainer.model import losses

DENSITY, THREE = TARGETS["density"], TARGETS["three_class"]
LABELS = np.array([0, 3, 1, 2, 2, 0, 3], np.float32)[:, None]
ABOVE = np.array(
    [[0, 0, 0], [1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1]], np.float32
)
GRADES = np.random.default_rng(5).uniform(0.05, 0.95, (7, 3)).astype(np.float32)


def test_ordinal_loss_is_the_mean_of_its_questions():
    loss = keras.ops.convert_to_numpy(losses.ordinal_crossentropy(LABELS, GRADES))
    questions = -(ABOVE * np.log(GRADES) + (1 - ABOVE) * np.log(1 - GRADES))
    np.testing.assert_allclose(loss, questions.mean(axis=1), rtol=1e-5)


def test_ordinal_accuracy_scans_the_questions_in_order():
    contradicting = np.array(
        [[0.2, 0.9, 0.9], [0.9, 0.8, 0.7], [0.6, 0.5, 0.9], [0.9, 0.4, 0.9]], np.float32
    )
    truth = np.array([0, 3, 1, 2], np.float32)[:, None]
    right = keras.ops.convert_to_numpy(losses.ordinal_accuracy(truth, contradicting))
    assert right.tolist() == [1, 1, 1, 0]
    probabilities = losses.class_probabilities(contradicting, DENSITY)
    assert called_classes(probabilities, ordinal=True).tolist() == [0, 3, 1, 1]


@pytest.mark.parametrize("target", [DENSITY, THREE], ids=["ordinal", "classes"])
def test_a_compiled_model_says_what_scikit_learn_says(target):
    """A batch of 4 and one of 3, with class weights: accuracy and AUC count each image once."""
    rng = np.random.default_rng(1)
    labels = LABELS if target is DENSITY else np.minimum(LABELS, 2)
    given = rng.choice(np.linspace(0.02, 0.97, 60), (7, 3), replace=False).astype(np.float32)
    if target is THREE:
        given /= given.sum(axis=1, keepdims=True)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Identity()])
    model.compile(loss=losses.loss_of(target), metrics=losses.metrics_of(target))
    seen = model.evaluate(given, labels, batch_size=4, verbose=0, return_dict=True)
    probabilities = losses.class_probabilities(given, target)
    answers = called_classes(probabilities, ordinal=target is DENSITY)
    assert seen["accuracy"] == pytest.approx(accuracy_score(labels[:, 0], answers))
    questions = ABOVE if target is DENSITY else (labels == np.arange(3)).astype(int)
    area = roc_auc_score(questions, given, average="macro")
    assert seen["auc"] == pytest.approx(area, abs=0.01)  # Keras takes 200 thresholds


@given(arrays.arrays(np.float32, (5, 3), elements=st.floats(0, 1, width=32)))
def test_class_probabilities_are_a_distribution(given_outputs):
    for target, raw in ((DENSITY, given_outputs), (TARGETS["pathology"], given_outputs[:, :1])):
        probabilities = losses.class_probabilities(raw, target)
        assert probabilities.shape == (5, len(target.names))
        assert (probabilities >= 0).all()
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
        np.testing.assert_allclose(1 - probabilities[:, 0], raw[:, 0], atol=1e-7)


def test_consistent_grades_are_differences():
    probabilities = losses.class_probabilities(np.array([[0.9, 0.5, 0.2]]), DENSITY)
    np.testing.assert_allclose(probabilities, [[0.1, 0.4, 0.3, 0.2]])


def test_a_compiled_ordinal_model_is_saved_and_loaded(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, "sigmoid")])
    model.compile(loss=losses.loss_of(DENSITY), metrics=losses.metrics_of(DENSITY))
    model.fit(np.ones((4, 2)), np.array([[0.0], [1], [2], [3]]), verbose=0)
    model.save(tmp_path / "model.keras")
    for compile_too in (True, False):
        again = keras.models.load_model(tmp_path / "model.keras", compile=compile_too)
        np.testing.assert_array_equal(
            again.predict(np.ones((1, 2)), verbose=0), model.predict(np.ones((1, 2)), verbose=0)
        )
