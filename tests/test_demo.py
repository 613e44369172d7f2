"""What README.md says of `make demo`, held against the run it left; CI runs it first."""

import json
import pathlib

import pytest
from sklearn.metrics import roc_auc_score

from trainer.metrics import predictions

RUN = pathlib.Path(__file__).parents[1] / "runs" / "demo"


@pytest.fixture
def scores():
    if not (RUN / "metrics.json").is_file():
        pytest.skip("make demo has not been run here")
    return json.loads((RUN / "metrics.json").read_text())


def test_the_demo_learned_something_real(scores):
    rows = predictions.read(RUN / "predictions.csv")
    auc = roc_auc_score([row.label for row in rows], [row.probability for row in rows])
    assert scores["auc"]["value"] == pytest.approx(auc, abs=1e-12)
    assert scores["auc"]["low"] > 0.7
    assert scores["patients"] == len({row.patient_id for row in rows}) >= 30


def test_the_demo_says_that_it_is_synthetic(scores):
    report = (RUN / "report.html").read_text()
    assert "Synthetic phantoms, not mammograms" in report
    assert "Research use only" in report
