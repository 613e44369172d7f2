"""Schedules against formulas of their own, and what they refuse."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags import schedule
from records.errors import CallerError


@pytest.mark.parametrize(
    ("text", "epochs", "fractions"),
    [
        ("constant", 3, [1, 1, 1]),
        ("step:factor=0.5:every=2", 5, [1, 1, 0.5, 0.5, 0.25]),
        ("step:every=1", 3, [1, 0.5, 0.25]),
        ("exponential", 3, [1, 0.99, 0.9801]),
        ("exponential:rate=0.1", 3, [1, 0.1, 0.01]),
        ("linear", 4, [1, 0.75, 0.5, 0.25]),
        ("linear:end=0.2", 4, [1, 0.8, 0.6, 0.4]),
        ("sqrt", 4, [1, 1 / math.sqrt(2), 1 / math.sqrt(3), 0.5]),
        ("cosine", 4, [1, (2 + math.sqrt(2)) / 4, 0.5, (2 - math.sqrt(2)) / 4]),
        ("cosine:end=0.5", 2, [1, 0.75]),
    ],
)
def test_fractions(text, epochs, fractions):
    parsed = schedule.parse(text)
    assert [parsed.fraction(epoch, epochs=epochs) for epoch in range(epochs)] == pytest.approx(
        fractions
    )


@given(
    text=st.sampled_from([*schedule.SCHEDULES, "linear:end=0.1", "step:factor=0.1:every=3"]),
    epochs=st.integers(1, 300),
)
def test_rates_fall_from_the_whole_and_stay_positive(text, epochs):
    parsed = schedule.parse(text)
    fractions = [parsed.fraction(epoch, epochs=epochs) for epoch in range(epochs)]
    assert fractions[0] == 1
    assert all(0 < after <= before for before, after in itertools.pairwise(fractions))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosin", r"--schedule=cosin is not one of constant, step, .* did you mean cosine\?"),
        ("", r"--schedule= is not one of"),
        ("step:often=3", r"step has no 'often'; it takes factor=0.5, every=10"),
        ("constant:end=0", r"constant has no 'end'; it takes no parameter"),
        ("step:every=2.5", r"every=2.5 is not a whole number from 1 to 10000"),
        ("step:every=0", r"every=0 is not a whole number"),
        ("step:factor=0", r"factor=0 is not a number from 0 to 1 and more than 0"),
        ("exponential:rate=1.5", r"rate=1.5 is not a number from 0 to 1"),
        ("exponential:rate=nan", r"rate=nan is not a number"),
        ("cosine:end", r"end is not a number from 0 to 1"),
    ],
)
def test_refused(text, message):
    with pytest.raises(CallerError, match=message):
        schedule.parse(text)


def test_every_schedule_is_in_the_help():
    for name in schedule.SCHEDULES:
        assert name in schedule.describe()
