"""A training AUC that does not leave chance is said, once early and at the end."""

import logging
import types

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from flags.training_config import TrainingConfig
from trainer.data.run_json import BaseBatchNorm
from trainer.training import chance


@pytest.mark.parametrize("counts", [(40, 24), (300, 20)])
def test_scores_that_know_nothing_lie_within(counts):
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], counts)
    aucs = [roc_auc_score(labels, generator.random(len(labels))) for _ in range(1000)]
    within = np.abs(np.array(aucs) - 0.5) <= chance.half_width(labels.tolist())
    assert 0.93 < within.mean() < 0.97


def run_of(tmp_path, aucs, **options):
    """A run with this training AUC in the epochs of phase 2; 30 of 100 images are positive."""
    rows = [f"{1 + number},{auc},2" for number, auc in enumerate(aucs)]
    history = tmp_path / "history.csv"
    history.write_text("\n".join(["epoch,auc,phase", "0,0.5,1", *rows]) + "\n")
    return types.SimpleNamespace(
        history=history,
        config=TrainingConfig(**options),
        data=types.SimpleNamespace(train=types.SimpleNamespace(labels=[0] * 70 + [1] * 30)),
        batch_norm=BaseBatchNorm(False, 2),
    )


def warned(run, caplog, *, ended=False) -> str:
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="absl"):
        if ended:
            chance.warn(run)
        else:
            chance.Watch(run, types.SimpleNamespace(number=2)).on_epoch_end(2)
    return caplog.text


def test_it_is_said_after_three_epochs_and_names_the_flags(tmp_path, caplog):
    run = run_of(tmp_path, [0.47, 0.55, 0.51], augment="paper", dropout=0.6)
    said = warned(run, caplog)
    assert said.count("\n") == 1
    for words in (
        "0.5 +- 0.124, for 3 epochs of phase 2 (last 0.510)",
        "--base_batch_norm=learn",
        "--phase2_learning_rate=1e-05",
        "--noplateau",
        "--augment=paper",
        "--dropout=0.6",
    ):
        assert words in said
    assert "--input_scaling" not in said


@pytest.mark.parametrize(
    ("aucs", "warm_up", "said"),
    [
        ([0.5, 0.5], 0, (False, False)),
        ([0.5, 0.5, 0.7], 0, (False, False)),
        ([0.5, 0.5, 0.5, 0.5], 0, (False, True)),
        ([0.5, 0.5, 0.5, 0.5], 1, (True, True)),
        ([0.5, 0.5, 0.5], 1, (False, True)),
        ([0.7, 0.5, 0.5, 0.5], 0, (False, True)),
        ([0.5, 0.5, 0.5, 0.7], 0, (False, False)),
    ],
)
def test_not_too_early_and_not_without_need(tmp_path, caplog, aucs, warm_up, said):
    run = run_of(tmp_path, aucs, warmup_epochs=warm_up)
    assert tuple(bool(warned(run, caplog, ended=ended)) for ended in (False, True)) == said


def test_too_few_images_tell_nothing(tmp_path, caplog):
    run = run_of(tmp_path, [1.0, 1.0, 1.0])
    run.data.train.labels = [0, 0, 1, 1, 1]
    assert chance.half_width(run.data.train.labels) > 0.5
    assert not warned(run, caplog)
