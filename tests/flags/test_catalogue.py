"""Tests of the names both programs agree on."""

from __future__ import annotations

import dataclasses

import pytest

from flags import catalogue
from records import schema
from records.errors import CallerError


@pytest.mark.parametrize("name", catalogue.DATASETS)
def test_data_sets_have_a_target(name):
    assert catalogue.DATASETS[name].target in catalogue.TARGETS


@pytest.mark.parametrize("name", catalogue.TARGETS)
def test_targets_ask_a_column_of_the_record(name):
    target = catalogue.TARGETS[name]
    assert target.column in {f.key for f in schema.FEATURES if f.kind == "text"}
    values = [value for some in target.values for value in some]
    assert len(values) == len(set(values))
    assert len(target.names) == len(target.values) == len(set(target.names))
    assert (target.kind == "binary") == (len(target.names) == 2)


def test_check_name():
    catalogue.check_name("recipe", "paper", catalogue.RECIPES)
    with pytest.raises(
        CallerError, match=r"^--recipe=papr is not one of .*; did you mean paper\?$"
    ):
        catalogue.check_name("recipe", "papr", catalogue.RECIPES)
    with pytest.raises(
        CallerError, match=r"^--recipe=zzz is not one of plain, paper, paper_8bit, best_practice$"
    ):
        catalogue.check_name("recipe", "zzz", catalogue.RECIPES)


def test_describe():
    assert catalogue.describe("Why", {"a": "one", "b": "two"}) == "Why: a = one; b = two."


def test_caller_errors_survive_where_value_errors_are_expected():
    assert issubclass(CallerError, ValueError)
    assert dataclasses.is_dataclass(catalogue.DATASETS["phantom"])
