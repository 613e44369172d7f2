"""Tests of the names both programs agree on."""

from __future__ import annotations

import dataclasses

import pytest

from flags import datasets, targets
from flags.fields import check_name, describe
from flags.recipe_spec import RECIPES
from records import schema
from records.errors import CallerError


@pytest.mark.parametrize("name", datasets.DATASETS)
def test_data_sets_have_a_target(name):
    assert datasets.DATASETS[name].target in targets.TARGETS


@pytest.mark.parametrize("name", targets.TARGETS)
def test_targets_ask_a_column_of_the_record(name):
    target = targets.TARGETS[name]
    assert target.column in {f.key for f in schema.FEATURES if f.kind == "text"}
    values = [value for some in target.values for value in some]
    assert len(values) == len(set(values))
    assert len(target.names) == len(target.values) == len(set(target.names))
    assert (target.kind == "binary") == (len(target.names) == 2)


def test_check_name():
    check_name("recipe", "paper", RECIPES)
    with pytest.raises(
        CallerError, match=r"^--recipe=papr is not one of .*; did you mean paper\?$"
    ):
        check_name("recipe", "papr", RECIPES)
    with pytest.raises(
        CallerError, match=r"^--recipe=zzz is not one of plain, paper, paper_8bit, best_practice$"
    ):
        check_name("recipe", "zzz", RECIPES)


def test_describe():
    assert describe("Why", {"a": "one", "b": "two"}) == "Why: a = one; b = two."


def test_caller_errors_survive_where_value_errors_are_expected():
    assert issubclass(CallerError, ValueError)
    assert dataclasses.is_dataclass(datasets.DATASETS["phantom"])
