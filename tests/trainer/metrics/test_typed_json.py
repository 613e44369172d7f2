"""JSON and dataclasses: there and back, and one line about what a file lacks."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import pytest

from records.files import DamagedFile
from trainer.metrics import typed_json


@dataclasses.dataclass(frozen=True)
class Inner:
    x: tuple[float, ...]
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Outer:
    name: str
    count: int
    fraction: float | None
    inner: Inner | None
    names: dict[str, int] = dataclasses.field(default_factory=dict)
    why: str = ""


@pytest.mark.parametrize(
    "made",
    [
        Outer("a", 3, 0.5, Inner((1.0, 2.5))),
        Outer("a", 3, None, None, why="so"),
        Outer("a", 3, 1.0, Inner((), note="n"), names={"b": 1}),
    ],
    ids=["nested", "null", "all"],
)
def test_there_and_back(tmp_path: pathlib.Path, made: Outer) -> None:
    path = tmp_path / "made.json"
    path.write_text(json.dumps({**typed_json.to_json(made), "later": 1}))
    assert typed_json.read(Outer, path, remedy="again") == made


@dataclasses.dataclass(frozen=True)
class Parts:
    first: Inner | None = dataclasses.field(default=None, metadata=typed_json.ALWAYS)
    named: dict[str, Inner] = dataclasses.field(
        default_factory=dict, metadata=typed_json.inline(["a", "b"])
    )
    rows: tuple[Inner, ...] = ()


def test_parts_of_parts_and_a_mapping_that_stands_in_the_object(tmp_path: pathlib.Path) -> None:
    made = Parts(named={"b": Inner((2.0,)), "a": Inner(())}, rows=(Inner((1.0,)),))
    content = typed_json.to_json(made)
    assert content == {"first": None, "b": {"x": [2.0]}, "a": {"x": []}, "rows": [{"x": [1.0]}]}
    path = tmp_path / "made.json"
    path.write_text(json.dumps({**content, "c": {}}))
    assert typed_json.read(Parts, path, remedy="again") == made
    for part, message in (({"a": {}}, "lacks a.x"), ({"rows": [{"x": ["1"]}]}, "'1' as rows")):
        path.write_text(json.dumps(part))
        with pytest.raises(DamagedFile, match=message):
            typed_json.read(Parts, path, remedy="again")


def test_a_default_is_left_out() -> None:
    assert typed_json.to_json(Inner((1.0,))) == {"x": [1.0]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"name": "a"}, "lacks count; write it again"),
        (
            {"name": "a", "count": 1, "fraction": 1, "inner": {}},
            "lacks inner.x; write it again",
        ),
        (
            {"name": "a", "count": 1.5, "fraction": 1, "inner": None},
            "has 1.5 as count, wanted int; write it again",
        ),
        (
            {"name": 3, "count": 1, "fraction": 1, "inner": None},
            "has 3 as name, wanted text; write it again",
        ),
        (
            {"name": "a", "count": 1, "fraction": "much", "inner": None},
            "has 'much' as fraction, wanted a number or null; write it again",
        ),
    ],
    ids=["lacks", "within", "no integer", "no text", "no number"],
)
def test_one_line(tmp_path: pathlib.Path, content: dict[str, object], message: str) -> None:
    path = tmp_path / "made.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DamagedFile) as caught:
        typed_json.read(Outer, path, remedy="write it again")
    assert str(caught.value) == f"{path} {message}"
