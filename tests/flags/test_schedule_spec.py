"""Schedules: what is refused, and that all are in the help."""

import pytest

from flags import schedule_spec
from records.errors import CallerError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosin", r"--schedule=cosin: 'cosin' is no schedule; did you mean cosine\?"),
        ("fast", r"'fast' is no schedule; schedules are constant, step, exponential"),
        ("", r"--schedule is empty; give one of constant, step, exponential"),
        ("linear,sqrt", r"--schedule=linear,sqrt names 2 schedules; keep one"),
        ("step:every=3:every=4", r"step has every twice; leave one out"),
        (
            "step:often=3",
            r"step has no parameter 'often'; it takes factor= \(more than 0 to 1\), every= \(1 to",
        ),
        ("constant:end=0", r"constant has no parameter 'end'; it takes nothing"),
        ("step:every=2.5", r"every=2.5 is not a whole number, 1 to 10000"),
        ("step:every=0", r"every=0 is out of range; 1 to 10000 is allowed"),
        ("step:factor=0", r"factor=0 is out of range; more than 0 to 1 is allowed"),
        ("exponential:rate=1.5", r"rate=1.5 is out of range; more than 0 to 1"),
        ("exponential:rate=nan", r"rate=nan is out of range"),
        ("cosine:end", r"cosine takes no 'end'; it takes end= \(0 to 1\); did you mean end=\?"),
        ("cosine:end=", r"cosine:end= is not a number, 0 to 1"),
    ],
)
def test_refused(text, message):
    with pytest.raises(CallerError, match=message):
        schedule_spec.parse(text)


def test_every_schedule_is_in_the_help():
    for name in schedule_spec.SCHEDULES:
        assert name in schedule_spec.describe()
