"""Ages of tables and headers -> whole years."""

import pytest

from records.age import read_age


@pytest.mark.parametrize(
    ("text", "years"),
    [
        *(("57", "57"), ("57.0", "57"), ("057Y", "57"), (" 60 y", "60"), ("660M", "55"), ("", "")),
        *(("0", None), ("000Y", None), ("121", None), ("57.5", None), ("old", None), ("-3", None)),
    ],
)
def test_years(text, years):
    assert read_age(text) == years
