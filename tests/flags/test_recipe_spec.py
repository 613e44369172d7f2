"""Tests of the recipe language: one text a recipe, one line a mistake."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flags import recipe_spec
from flags.recipe_steps import STEPS
from flags.spec import Parameter
from records.errors import CallerError

PAPER = "resize:pad,gaussian:kernel=11:sigma=0.5,hist_eq:whole,minmax"


@pytest.mark.parametrize(
    ("text", "canonical", "folder"),
    [
        ("plain", "resize:pad", "plain"),
        ("paper", PAPER, "paper"),
        (" paper ", PAPER, "paper"),
        ("resize, gaussian:sigma=.50 :kernel=11,hist_eq,minmax", PAPER, "paper"),
        (
            "clean,crop,resize:pad,gaussian:sigma=0.5,hist_eq",
            "clean,crop:margin=0.01,resize:pad,gaussian:kernel=11:sigma=0.5,hist_eq:whole",
            "clean--crop--resize-pad--gaussian--hist_eq-whole",
        ),
        (
            "orient:right:by=side,resize:crop,gaussian:sigma=2e0:kernel=5",
            "orient:right:by=side,resize:crop,gaussian:kernel=5:sigma=2",
            "orient-right-byside--resize-crop--gaussian-kernel5-sigma2",
        ),
        (
            "resize:stretch,unsharp:amount=0.00001,bits:10",
            "resize:stretch,unsharp:amount=0.00001:sigma=2,bits:10",
            "resize-stretch--unsharp-amount0.00001--bits-10",
        ),
        ("resize,unsharp:amount=-0", "resize:pad,unsharp:amount=0:sigma=2", None),
    ],
)
def test_one_text_and_one_folder_a_recipe(text, canonical, folder):
    assert recipe_spec.canonical(text) == canonical
    assert recipe_spec.canonical(canonical) == canonical
    assert folder is None or recipe_spec.folder_name(text) == folder
    assert recipe_spec.folder_name(canonical) == recipe_spec.folder_name(text)


def test_steps_are_typed():
    resize, blur = recipe_spec.parse("resize,gaussian:sigma=1")
    assert (resize.name, resize.choice, resize.parameters) == ("resize", "pad", ())
    assert blur.parameters == (("kernel", 11), ("sigma", 1.0))
    assert [type(value) for _, value in blur.parameters] == [int, float]
    assert hash(recipe_spec.parse("resize")) == hash(recipe_spec.parse("resize:pad"))


def test_distinct_recipes():
    texts = ["plain", "resize:pad", "paper", "resize", "resize:crop", PAPER]
    assert recipe_spec.distinct(texts) == ("plain", "paper", "resize:crop")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"--recipe is empty; give one of plain, paper"),
        ("papre", r"'papre' is neither a recipe nor a step; did you mean paper\?"),
        ("qqq", r"'qqq' is neither .*; recipes are plain, .*; steps are clean, crop"),
        ("clean", r"has 0 resize steps, one is needed; for example clean,crop,resize:pad"),
        ("resize,resize:crop", r"has 2 resize steps"),
        ("resize,gaussain", r"'gaussain' is no step; did you mean gaussian\?"),
        ("resize,,minmax", r"'' is no step"),
        ("paper,minmax", r"'paper' is no step"),
        ("resize:pda", r"resize takes no 'pda'; it takes pad or stretch or crop; did you mean pad"),
        ("resize:pad:crop", r"resize has two choices; keep one of pad or stretch or crop"),
        ("resize,minmax:3", r"minmax takes no '3'; it takes nothing"),
        ("resize,minmax:a=3", r"minmax has no parameter 'a'; it takes nothing"),
        ("resize,gaussian:sgma=1", r"gaussian has no parameter 'sgma'; it takes kernel= \(odd, 1"),
        ("resize,gaussian:sigma", r"takes no 'sigma'; .* did you mean sigma=\?"),
        ("resize,gaussian:sigma=1:sigma=1", r"gaussian has sigma twice; leave one out"),
        (
            "resize,gaussian:kernel=4",
            r"gaussian:kernel=4 is out of range; odd, 1 to 101 is allowed",
        ),
        ("resize,gaussian:kernel=1.5", r"kernel=1.5 is not a whole number, odd, 1 to 101"),
        ("resize,gaussian:sigma=", r"gaussian:sigma= is not a number, 0.05 to 50"),
        ("resize,gaussian:sigma=nan", r"sigma=nan is out of range; 0.05 to 50 is allowed"),
        ("resize,gaussian:sigma=inf", r"sigma=inf is out of range"),
        ("resize,median:kernel=7", r"median:kernel=7 is out of range; odd, 3 to 5"),
        ("orient:by=hand,resize", r"orient:by=hand is not pixels or side"),
        ("resize,hist_eq:breast", r"hist_eq:breast needs clean before it.*or take hist_eq:whole"),
        (
            "resize,clean",
            r"clean stands after resize, it works on the whole image; put clean first",
        ),
    ],
)
def test_mistakes(text, message):
    with pytest.raises(CallerError, match=message) as caught:
        recipe_spec.parse(text)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("--recipe")


def test_a_mistake_stays_on_its_line():
    with pytest.raises(CallerError) as caught:
        recipe_spec.parse("re\nsize,gaus\nsain")
    assert str(caught.value).count("\n") == 0


def values(parameter: Parameter) -> st.SearchStrategy:
    if parameter.words:
        return st.sampled_from(parameter.words)
    if isinstance(parameter.default, int):
        numbers = st.integers(int(parameter.low), int(parameter.high))
        return numbers.filter(lambda number: number % 2) if parameter.odd else numbers
    return st.floats(parameter.low, parameter.high)


@st.composite
def steps(draw, names) -> str:
    name = draw(st.sampled_from(sorted(names)))
    kind = STEPS[name]
    words = [
        f"{key}={draw(values(p))}" for key, p in kind.parameters.items() if draw(st.booleans())
    ]
    words += [draw(st.sampled_from(kind.choices))] if kind.choices and draw(st.booleans()) else []
    return ":".join([name, *draw(st.permutations(words))])


@st.composite
def recipes(draw) -> str:
    image = {name for name, kind in STEPS.items() if kind.group == "image"}
    before = draw(st.lists(steps(image), max_size=4))
    after = draw(st.lists(steps(STEPS.keys() - image - {"resize"}), max_size=6))
    return ",".join(["clean", *before, draw(steps({"resize"})), *after])


@settings(deadline=None, max_examples=200)
@given(recipes(), recipes())
def test_laws_of_the_language(one, other):
    canonical, folder = recipe_spec.canonical(one), recipe_spec.folder_name(one)
    assert recipe_spec.parse(canonical) == recipe_spec.parse(one)
    assert recipe_spec.canonical(canonical) == canonical
    assert re.fullmatch(r"[a-z0-9_.-]{1,120}", folder), folder
    assert not folder.endswith(".")
    same = canonical == recipe_spec.canonical(other)
    assert (folder == recipe_spec.folder_name(other)) == same
    assert len(recipe_spec.distinct([one, other, one])) == (1 if same else 2)


def test_a_long_recipe_gets_a_digest():
    one, other = ("resize," + ",".join(["gaussian:sigma=1.25"] * 9) + f",bits:{n}" for n in (8, 12))
    names = recipe_spec.folder_name(one), recipe_spec.folder_name(other)
    assert names[0] != names[1]
    assert all(len(name) == 120 and re.search(r"--[0-9a-f]{12}$", name) for name in names)


def test_the_table_is_sound():
    """Every default is allowed, every row says what it does and where it comes from."""
    for name, kind in STEPS.items():
        assert kind.about
        assert kind.source, name
        assert re.fullmatch(r"[a-z_]+", name)
        for key, parameter in kind.parameters.items():
            assert parameter.about
            text = f"{name}:{key}={parameter.default}"
            assert recipe_spec.parse_step(text, text) == recipe_spec.parse_step(name, name)


def test_help_names_everything():
    text = recipe_spec.describe_steps()
    for name, kind in STEPS.items():
        assert name in text
        assert all(f"{key}=" in text for key in kind.parameters)


def test_named_recipes_are_named_in_letters():
    assert set(recipe_spec.RECIPES) == {"plain", "paper", "paper_8bit", "best_practice"}
    assert all(recipe_spec.folder_name(name) == name for name in recipe_spec.RECIPES)
