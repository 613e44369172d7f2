"""A run no better than guessing says so, whatever its AUC looks like."""

import dataclasses

import pytest

from tests import make
from trainer.evaluation import discrimination
from trainer.metrics import compute

EVALUATED = compute.score(
    make.predicted([0.2, 0.7, 0.6, 0.5, 0.1, 0.3] * 8),
    split="test",
    label_names=("a", "b"),
    resamples=200,
)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.6, 0.9, []),
        (0.5, 0.9, ["not shown to be better than guessing"]),
        (0.4, 0.9, ["not shown to be better than guessing"]),
        (0.2, 0.49, ["worse than guessing"]),
        (None, None, ["its AUC has no interval"]),
    ],
)
def test_warnings(low, high, said):
    auc = dataclasses.replace(EVALUATED["auc"], low=low, high=high)
    scores = dataclasses.replace(EVALUATED, metrics={**EVALUATED.metrics, "auc": auc})
    found = discrimination.warn(scores)
    assert len(found) == len(said)
    assert all(words in warning for words, warning in zip(said, found, strict=True))


def test_the_line_has_auc_interval_and_counts():
    line = discrimination.describe(EVALUATED)
    assert line.startswith(f"test AUC {EVALUATED['auc'].value:.3f} (95 % ")
    assert line.endswith("on 48 images of 24 patients")
