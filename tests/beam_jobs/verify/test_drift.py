"""Tests of the comparison of two data sets, by formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from beam_jobs.verify import __main__, drift
from tests import make


def test_fractions_by_hand():
    first, second = {"1": 30, "2": 60, "3": 10}, {"1": 20, "2": 90, "4": 90}
    got = drift.compare_fractions(first, second)
    assert (got.value, got.distance) == ("4", pytest.approx(0.45))
    counts = np.array([[30, 60, 10, 0], [20, 90, 0, 90]], float)
    wanted = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    seen = counts > 0
    g = 2 * (counts[seen] * np.log(counts[seen] / wanted[seen])).sum()
    assert got.chance == pytest.approx(stats.chi2.sf(g, 3))
    assert got.drifted


def test_chance_alone_is_no_drift():
    assert not drift.compare_fractions({"a": 6, "b": 4}, {"a": 4, "b": 6}).drifted
    assert drift.compare_fractions({"a": 600, "b": 400}, {"a": 400, "b": 600}).drifted
    assert not drift.compare_fractions({"a": 6}, {"a": 40}).drifted


def test_intensities_by_hand():
    p, q = np.array([0.5, 0.25, 0.25, 0]), np.array([0.1, 0.2, 0.3, 0.4])
    middle = (p + q) / 2
    wanted = (stats.entropy(p, middle, base=2) + stats.entropy(q, middle, base=2)) / 2
    assert drift.compare_intensities(p, q) == pytest.approx(wanted)
    assert drift.compare_intensities([1, 0], [0, 1]) == pytest.approx(1)


def test_two_data_sets(made_records, tmp_path, capsys):
    darker = make.records(tmp_path, count=40, darker=120)
    assert __main__._compare(made_records.directory, darker.directory) == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if "intensity" in line).endswith("DRIFTED")
    assert any("in both: 37 of 57 image_id" in line for line in lines)
    assert any(line.strip().startswith("native_size") for line in lines)
    assert not any("same pixels" in line for line in lines)


def test_a_set_against_itself(made_records, capsys):
    assert __main__._compare(made_records.directory, made_records.directory) == 0
    out = capsys.readouterr().out
    assert "DRIFTED" not in out
    assert "images with the same pixels in both: 57" in out
