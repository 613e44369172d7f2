"""--where against Python's own reading of the same conditions, and against what it must refuse."""

import builtins

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags import where
from records.errors import CallerError

IMAGE = dict.fromkeys(where.COLUMNS, "") | {
    "image_id": "P_1_LEFT_CC",
    "side": "left",
    "view": "CC",
    "abnormality": "mass+calcification",
    "density": "3",
    "abnormalities": "2",
}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", True),
        ("view == 'CC'", True),
        ('view=="MLO"', False),
        ("'CC' == view", True),
        ("view != 'CC'", False),
        ("abnormality == 'mass'", False),
        ("'mass' in abnormality", True),
        ("'mas' in abnormality", False),
        ("'mass' not in abnormality", False),
        ("abnormality in ('mass', 'mass+calcification')", True),
        ("density in ['1', '2']", False),
        ("density not in {'1', '2'}", True),
        ("density == 3", True),
        ("abnormalities in (1, 2)", True),
        ("pathology == ''", True),
        ("not (side == 'left' and view == 'CC')", False),
        ("side == 'right' or not view == 'MLO' and density == '3'", True),
        ("(side == 'right' or view == 'CC') and density == '4'", False),
    ],
)
def test_answers(text, answer):
    assert where.parse(text)(IMAGE) is answer


comparisons = st.builds(
    "{} {} '{}'".format,
    st.sampled_from(["side", "view", "density"]),
    st.sampled_from(["==", "!="]),
    st.sampled_from(["left", "right", "CC", "MLO", "3"]),
)
conditions = st.recursive(
    comparisons,
    lambda part: st.one_of(
        st.builds("not {}".format, part),
        st.builds("({} and {})".format, part, part),
        st.builds("({} or {})".format, part, part),
        st.builds("{} or {} and {}".format, part, part, part),
    ),
    max_leaves=6,
)


@given(conditions, st.sampled_from(["left", "right"]), st.sampled_from(["CC", "MLO"]))
def test_agrees_with_python(text, side, view):
    image = {**IMAGE, "side": side, "view": view}
    assert where.parse(text)(image) == builtins.eval(text, {}, image)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("abnormalty == 'mass'", r"'abnormalty' is no column; did you mean abnormality\? columns"),
        ("zzz == 'mass'", r"'zzz' is no column; columns are image_id, patient_id, side"),
        ("view = 'CC'", r"can't be read \("),
        ("view == CC", r"'CC' stands where a value should; put it in quotes: 'CC'"),
        ("view", r"'view' is no comparison"),
        ("'CC'", r"is no comparison"),
        ("view == 'CC' == 'MLO'", r"is no comparison"),
        ("abnormalities > 1", r"only ==, != and in can compare"),
        ("view is 'CC'", r"only ==, != and in"),
        ("view in 'CC'", r"after 'in' stands \"'CC'\", no list of values"),
        ("view in ()", r"no list of values"),
        ("view == 1.5", r"'1.5' stands where a value should"),
        ("view == True", r"'True' stands where a value should"),
        ("view == b'CC'", r"stands where a value should"),
        ("view == f'{side}'", r"stands where a value should"),
        ("view == 'C' + 'C'", r"stands where a value should"),
        ("-view == 'CC'", r"stands where a column should"),
        ("side == view", r"'view' stands where a value should"),
        ("__import__('os').system('true') == 0", r"stands where a column should"),
        ("view.__class__ == 'str'", r"stands where a column should"),
        ("[v for v in view] == 'CC'", r"stands where a column should"),
        ("lambda: 1", r"is no comparison"),
        ("(view := 'CC') == 'CC'", r"stands where a column should"),
        ("view == 'CC'\nand side == 'left'", r"can't be read"),
        ("view == 'CC\0'", r"can't be read"),
        ("(" * 300 + "view == 'CC'" + ")" * 300, r"can't be read"),
        ("not " * 499 + "view", r"is no comparison"),
        ("x" * 2001, r"has 2001 characters, at most 2000"),
    ],
    ids=lambda value: value[:20],
)
def test_refused_in_one_line(text, message):
    with pytest.raises(CallerError, match=message) as caught:
        where.parse(text)
    assert "\n" not in str(caught.value)


def test_columns_asked_for():
    assert where.columns("view == 'CC' and ('mass' in abnormality or view == 'MLO')") == (
        "view",
        "abnormality",
    )
