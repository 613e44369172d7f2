"""Two runs on the same images: differences, intervals, p values, against NumPy, SciPy and hand."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from records.errors import CallerError
from tests.make import predicted, write_run
from trainer.evaluation import compared_run, paired_comparison
from trainer.evaluation.comparison_json import DeLong


def random_answers(seed: int, images: int = 60, strength: float = 0.2) -> list[float]:
    random = np.random.default_rng(seed)
    truth = np.arange(images) % 2
    return np.clip(random.normal(0.5 + strength * (truth - 0.5), 0.2), 0, 1).round(2).tolist()


@pytest.fixture
def make(tmp_path):
    def run(name, images, **described):
        return compared_run.read(write_run(tmp_path / name, images, **described), name=name)

    return run


@pytest.fixture
def two(make):
    return [make(name, predicted(random_answers(seed))) for seed, name in enumerate("ab")]


def columns(run):
    images = [run.images[name] for name in sorted(run.images)]
    return (
        np.array([image.label for image in images]),
        np.array([image.probability for image in images]),
        np.array([image.patient_id for image in images]),
    )


BY_SCIKIT_LEARN = {
    "accuracy": lambda y, p: sk.accuracy_score(y, p > 0.5),
    "precision": lambda y, p: sk.precision_score(y, p > 0.5),
    "recall": lambda y, p: sk.recall_score(y, p > 0.5),
    "f1": lambda y, p: sk.f1_score(y, p > 0.5),
    "auc": sk.roc_auc_score,
}


def test_differences_are_those_of_scikit_learn(two):
    (made,) = paired_comparison.compare(two[0], two[1:])
    labels, one, _ = columns(two[0])
    _, other, _ = columns(two[1])
    assert set(made.metrics) == set(BY_SCIKIT_LEARN)
    for name, score in BY_SCIKIT_LEARN.items():
        metric = made.metrics[name]
        expected = (score(labels, one), score(labels, other))
        assert (metric.baseline, metric.run) == pytest.approx(expected, rel=0, abs=1e-9)
        assert metric.value == pytest.approx(expected[1] - expected[0], rel=0, abs=1e-9)


def test_intervals_and_p_draw_patients_for_both_runs_alike(two):
    """The same draws made image by image: each patient's images come as often as the patient."""
    (made,) = paired_comparison.compare(two[0], two[1:])
    labels, one, patients = columns(two[0])
    _, other, _ = columns(two[1])
    names = np.unique(patients)
    generator = np.random.default_rng(0)
    drawn = generator.integers(len(names), size=(2000, len(names)))
    differences = {name: [] for name in BY_SCIKIT_LEARN}
    for draw in drawn:
        images = np.concatenate([np.flatnonzero(patients == names[patient]) for patient in draw])
        truth, called = labels[images] == 1, [p[images] > 0.5 for p in (one, other)]
        hits = [(answer & truth).sum() for answer in called]
        recall = [hit / truth.sum() for hit in hits]
        precision = [hit / answer.sum() for hit, answer in zip(hits, called, strict=True)]
        differences["recall"].append(recall[1] - recall[0])
        differences["precision"].append(precision[1] - precision[0])
        right = [(answer == truth).mean() for answer in called]
        differences["accuracy"].append(right[1] - right[0])
    for name in ("recall", "precision", "accuracy"):
        values = np.array(differences[name])
        metric = made.metrics[name]
        low, high = np.percentile(values, [2.5, 97.5])
        assert (metric.low, metric.high) == pytest.approx((low, high), rel=0, abs=1e-9)
        below, above = sum(value <= 0 for value in values), sum(value >= 0 for value in values)
        expected = min(1, 2 * (1 + min(below, above)) / 2001)
        assert metric.p_by_patient == pytest.approx(expected, rel=0, abs=1e-9)


def test_p_is_the_larger_of_the_two_tests(two):
    (made,) = paired_comparison.compare(two[0], two[1:])
    right = [(columns(run)[1] > 0.5) == columns(run)[0] for run in two]
    alone = [int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())]
    assert [made.mcnemar.baseline_alone, made.mcnemar.run_alone] == alone
    expected = stats.binomtest(alone[0], sum(alone)).pvalue
    assert made.mcnemar.p == pytest.approx(expected, rel=0, abs=1e-9)
    for name, test in (("accuracy", "mcnemar"), ("auc", "delong")):
        metric = made.metrics[name]
        assert metric.p_by_image == getattr(made, test).p
        assert metric.p == max(metric.p_by_image, metric.p_by_patient)
    for name in ("precision", "f1"):
        assert made.metrics[name].p == made.metrics[name].p_by_patient
    found = [one & (columns(two[0])[0] == 1) for one in right]
    expected = stats.binomtest((found[0] & ~found[1]).sum(), (found[0] ^ found[1]).sum()).pvalue
    assert made.metrics["recall"].p_by_image == pytest.approx(expected, rel=0, abs=1e-9)
    counts = made.mcnemar.both_right + made.mcnemar.both_wrong
    assert counts + sum(alone) == made.images == 60


def test_all_p_values_are_adjusted_together(make):
    runs = [make(name, predicted(random_answers(seed))) for seed, name in enumerate("abcd")]
    made = paired_comparison.compare(runs[0], runs[1:])
    metrics = [metric for one in made for metric in one.metrics.values()]
    assert len(metrics) == 15
    smallest = min(metrics, key=lambda metric: metric.p)
    assert smallest.p_holm == pytest.approx(min(1, 15 * smallest.p))
    for metric in metrics:
        assert metric.p_holm >= metric.p
        assert metric.more_than_noise == (metric.p_holm < 0.05)


def test_a_real_difference_is_more_than_noise(make):
    """Right on nearly all images against right on about half."""
    runs = [make("chance", predicted(random_answers(1, 200, strength=0.0)))]
    runs.append(make("good", predicted(random_answers(2, 200, strength=0.8))))
    (made,) = paired_comparison.compare(runs[0], runs[1:])
    assert made.metrics["accuracy"].more_than_noise
    assert made.metrics["auc"].more_than_noise
    assert made.metrics["auc"].low > 0.2


def test_many_tests_do_not_drown_the_smallest_p(make):
    """22 runs of 5 metrics: the bootstrap draws so often that p times 110 stays below 0.05."""
    good = make("good", predicted(random_answers(2)))
    bootstrap = paired_comparison.bootstrap_for(good, [good] * 22)
    assert 2 / (bootstrap.resamples + 1) * 110 < 0.01


def test_swapped_runs_differ_the_other_way(two):
    (one,), (other,) = (
        paired_comparison.compare(two[0], two[1:]),
        paired_comparison.compare(two[1], two[:1]),
    )
    for name, metric in one.metrics.items():
        swapped = other.metrics[name]
        assert swapped.value == pytest.approx(-metric.value, abs=1e-12)
        assert (swapped.low, swapped.high) == pytest.approx((-metric.high, -metric.low))
        assert swapped.p == pytest.approx(metric.p, abs=1e-9)


def test_a_run_does_not_differ_from_itself(two):
    twin = dataclasses.replace(two[0], name="twin")
    (made,) = paired_comparison.compare(two[0], [twin])
    for metric in made.metrics.values():
        assert (metric.value, metric.low, metric.high) == (0, 0, 0)
        assert (metric.p, metric.p_holm, metric.more_than_noise) == (1, 1, False)


def test_only_common_images_count(make):
    """Images 0 to 59 and 20 to 79, in another order: the 40 of both."""
    one = make("one", predicted(random_answers(0)))
    two = make("two", predicted(random_answers(1), first=20)[::-1])
    (made,) = paired_comparison.compare(one, [two])
    assert (made.images, made.patients, made.same_images) == (40, 20, False)
    common = [f"image{number}" for number in range(20, 60)]
    right = np.mean([(one.images[f].probability > 0.5) == one.images[f].label for f in common])
    assert made.metrics["accuracy"].baseline == pytest.approx(right)


def test_more_than_two_classes(make):
    random = np.random.default_rng(3)
    labels = np.arange(90) % 3
    names = ("A", "B", "C")
    runs, fractions = [], []
    for name in "xy":
        fraction = random.dirichlet(np.ones(3), 90) + 0.3 * np.eye(3)[labels]
        fraction /= fraction.sum(axis=1, keepdims=True)
        fractions.append(fraction)
        images = predicted([tuple(row) for row in fraction.tolist()], labels, per_patient=3)
        runs.append(make(name, images, names=names, target="density", kind="categorical"))
    (made,) = paired_comparison.compare(runs[0], runs[1:])
    expected = [
        sk.f1_score(labels, fraction.argmax(axis=1), average="macro") for fraction in fractions
    ]
    metric = made.metrics["macro_f1"]
    assert (metric.baseline, metric.run) == pytest.approx(expected, rel=0, abs=1e-9)
    areas = [sk.roc_auc_score(labels, fraction, multi_class="ovr") for fraction in fractions]
    found = made.metrics["auc"]
    assert found.value == pytest.approx(areas[1] - areas[0], rel=0, abs=1e-9)
    assert found.p_by_image is None
    assert made.delong == DeLong(not_defined_because="DeLong's test is of two classes")
    right = [fraction.argmax(axis=1) == labels for fraction in fractions]
    assert made.mcnemar.both_right == (right[0] & right[1]).sum()


def test_one_class_has_no_order(make):
    runs = [make(n, predicted(random_answers(s), labels=[0] * 60)) for s, n in enumerate("ab")]
    (made,) = paired_comparison.compare(runs[0], runs[1:])
    assert made.metrics["auc"].value is None
    assert made.metrics["auc"].not_defined_because == (
        "auc is not defined for both on these images"
    )
    assert made.delong == DeLong(not_defined_because="a class has fewer than 2 images")
    assert made.metrics["accuracy"].p_holm >= made.metrics["accuracy"].p > 0


def test_one_image_says_nothing(make):
    runs = [make(name, predicted([answer])) for name, answer in (("a", 0.2), ("b", 0.9))]
    (made,) = paired_comparison.compare(runs[0], runs[1:])
    accuracy = made.metrics["accuracy"]
    assert (accuracy.value, accuracy.low, accuracy.p) == (-1, None, None)
    assert accuracy.interval_not_defined_because == "all images are of one patient"


def test_precision_of_a_run_that_calls_nothing(make):
    runs = [make("a", predicted(random_answers(0))), make("never", predicted([0.1] * 60))]
    (made,) = paired_comparison.compare(runs[0], runs[1:])
    precision = made.metrics["precision"]
    assert precision.not_defined_because == "precision is not defined for the run on these images"
    assert not any(isinstance(v, float) and math.isnan(v) for v in vars(precision).values())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": "abnormal"}, "their question is abnormal (benign or malignant) and pathology"),
        ({"dataset": "mini_mias"}, "their data set is mini_mias and cbis_ddsm"),
        ({"policies": {"label_policy": "paper"}}, "their label policy is paper and any_malignant"),
    ],
    ids=["target", "data", "labels"],
)
def test_runs_of_different_questions_are_refused(make, change, words):
    one = make("one", predicted(random_answers(0)))
    two = make("two", predicted(random_answers(1)), **change)
    with pytest.raises(CallerError) as refused:
        paired_comparison.compare(one, [two])
    assert str(refused.value).startswith("two and one can't be compared: ")
    assert words in str(refused.value)


def test_images_that_differ_are_refused(make):
    one = make("one", predicted(random_answers(0)))
    apart = make("apart", predicted(random_answers(1), first=60))
    with pytest.raises(CallerError, match="none of their 60 and 60 images is the same"):
        paired_comparison.compare(one, [apart])
    labels = [number % 2 for number in range(60)]
    labels[3], labels[8] = 0, 1
    other = make("other", predicted(random_answers(1), labels))
    with pytest.raises(
        CallerError, match=r"another label on 2 of their 60 common images, first .* 'image3'"
    ):
        paired_comparison.compare(one, [other])
    strangers = make("strangers", predicted(random_answers(1), per_patient=3))
    with pytest.raises(CallerError, match="another patient on 57 of"):
        paired_comparison.compare(one, [strangers])
