"""Films shown: the right ones, in the right order, and never half written."""

from __future__ import annotations

import base64
import json
import pathlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.errors import CallerError
from trainer.pages import film_gallery
from trainer.pages.film_gallery import ERRORS, SUREST, Film, Picture
from trainer.predictions import Prediction

PIXELS = np.arange(63 * 41).reshape(63, 41).astype(np.uint8)
PNG = film_gallery.encode(PIXELS)


def two_classes(*answers: tuple[int, float]) -> list[Prediction]:
    return [Prediction(f"f{n:03d}", f"p{n}", *answer) for n, answer in enumerate(answers)]


def test_the_worst_errors_come_first_then_the_surest_of_each_class() -> None:
    films = two_classes((0, 0.51), (1, 0.2), (0, 0.9), (1, 0.9), (0, 0.1), (1, 0.7), (0, 0.5))
    chosen = film_gallery.choose(films[::-1], ordinal=False)
    assert [(film.film_id, film.kind, film.label, film.answer) for film in chosen] == [
        ("f002", "error", 0, 1),
        ("f001", "error", 1, 0),
        ("f000", "error", 0, 1),
        ("f003", "surest", 1, 1),
        ("f005", "surest", 1, 1),
        ("f004", "surest", 0, 0),
        ("f006", "surest", 0, 0),  # 0.5 itself is not above the threshold
    ]
    assert [film.probability for film in chosen] == [0.9, 0.2, 0.51, 0.9, 0.7, 0.1, 0.5]


def test_equals_go_by_name_and_the_numbers_are_limited() -> None:
    films = two_classes(*[(n % 2, 0.75) for n in range(60)])
    chosen = film_gallery.choose(films[::-1], ordinal=False)
    errors = [film.film_id for film in chosen if film.kind == "error"]
    assert errors == [f"f{n:03d}" for n in range(0, 2 * ERRORS, 2)]
    assert [film.film_id for film in chosen[ERRORS:]] == [f"f{n:03d}" for n in (1, 3)[:SUREST]]


@pytest.mark.parametrize(("ordinal", "answer"), [(False, 0), (True, 1)])
def test_answers_of_several_classes(ordinal: bool, answer: int) -> None:
    probabilities = (0.4, 0.35, 0.25)  # likeliest: 0; the median grade: 1
    film = Prediction("f", "p", 2, 0.6, probabilities=probabilities)
    (chosen,) = film_gallery.choose([film], ordinal=ordinal)
    assert chosen == Film("f", "error", 2, answer, probabilities[answer])


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0, 0.2, 0.5, 0.6, 1])), max_size=80))
def test_the_worst_of_all_are_among_the_worst_of_parts(answers: list[tuple[int, float]]) -> None:
    films = two_classes(*answers)
    of_parts = {
        film.film_id
        for part in (films[::3], films[1::3], films[2::3])
        for film in film_gallery.choose(part, ordinal=False)
    }
    assert {film.film_id for film in film_gallery.choose(films, ordinal=False)} <= of_parts


def test_what_is_kept_is_read_back(tmp_path: pathlib.Path) -> None:
    shown = [Film("a", "error", 0, 1, 0.9), Film("none", "error", 0, 1, 0.8)]
    shown += [Film('<b>"b"</b>', "surest", 1, 1, 0.7)]
    red = np.zeros((5, 4, 3), np.uint8)
    red[..., 0] = 200
    heat_map = film_gallery.encode(red)
    pictures = {"a": Picture(PNG, heat_map), '<b>"b"</b>': Picture(PNG), "unused": Picture(PNG)}
    for _ in range(2):  # the second replaces the first
        film_gallery.write(tmp_path, shown, pictures)
        films = film_gallery.read(tmp_path)
    assert films == [
        Film("a", "error", 0, 1, 0.9, "001.png", "001-heat.png"),
        Film('<b>"b"</b>', "surest", 1, 1, 0.7, "002.png", None),
    ]
    folder = tmp_path / "films"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("001-heat.png", "001.png", "002.png", "films.json")
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["films"]
    kept = cv2.imread(str(folder / "001.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(kept, PIXELS)
    assert cv2.imread(str(folder / "001-heat.png"))[0, 0].tolist() == [0, 0, 200]  # blue first
    fields = {"film_id", "kind", "label", "answer", "probability", "file", "heat_map"}
    assert all(set(film) == fields for film in json.loads((folder / "films.json").read_text()))


def test_a_crash_leaves_the_films_of_before(tmp_path: pathlib.Path) -> None:
    film_gallery.write(tmp_path, [Film("a", "error", 0, 1, 0.9)], {"a": Picture(PNG)})
    broken = Picture(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        film_gallery.write(tmp_path, [Film("b", "error", 0, 1, 0.9)], {"b": broken})
    assert [film.film_id for film in film_gallery.read(tmp_path)] == ["a"]


def test_films_of_folds_are_gathered(tmp_path: pathlib.Path) -> None:
    films = two_classes(*[(n % 2, n / 100) for n in range(100)])
    runs = [tmp_path / f"fold{fold}" for fold in range(3)]
    for fold, run in enumerate(runs):
        chosen = film_gallery.choose(films[fold::3], ordinal=False)
        grey = {f.film_id: np.full((4, 4), int(f.film_id[1:]), np.uint8) for f in chosen}
        pictures = {name: film_gallery.encode(pixels) for name, pixels in grey.items()}
        film_gallery.write(run, chosen, {name: Picture(png, png) for name, png in pictures.items()})
    film_gallery.gather(tmp_path, runs, films, ordinal=False)
    gathered = film_gallery.read(tmp_path)
    expected = film_gallery.choose(films, ordinal=False)
    assert [film.film_id for film in gathered] == [film.film_id for film in expected]
    for film in gathered:
        for name in (film.file, film.heat_map):
            pixels = cv2.imread(str(tmp_path / "films" / str(name)), cv2.IMREAD_UNCHANGED)
            assert (pixels == int(film.film_id[1:])).all()
    (runs[0] / "films" / "films.json").unlink()  # as if judged by an earlier version
    film_gallery.gather(tmp_path, runs, films, ordinal=False)
    assert len(film_gallery.read(tmp_path)) < len(gathered)


def test_no_films_kept_is_no_error(tmp_path: pathlib.Path) -> None:
    assert film_gallery.read(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged"),
        ('[{"film_id": "a"}]', "is damaged"),
        ("[1]", "is damaged"),
        ('"text"', "is damaged"),
        ("ELSEWHERE", r"names '../secret.png', which is not there"),
        ("MISSING", r"names '002.png', which is not there"),
    ],
)
def test_refuses_a_damaged_list(tmp_path: pathlib.Path, content: str, message: str) -> None:
    film_gallery.write(tmp_path, [Film("a", "error", 0, 1, 0.9)], {"a": Picture(PNG)})
    (tmp_path / "secret.png").write_bytes(PNG)
    path = tmp_path / "films" / "films.json"
    other = {"ELSEWHERE": "../secret.png", "MISSING": "002.png"}.get(content)
    path.write_text(path.read_text().replace("001.png", other) if other else content)
    with pytest.raises(CallerError, match=message):
        film_gallery.read(tmp_path)


def test_pictures_go_into_a_page_as_jpeg(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "film.png"
    path.write_bytes(PNG)
    kind, _, data = film_gallery.data_uri(path).partition(",")
    assert kind == "data:image/jpeg;base64"
    jpeg = np.frombuffer(base64.b64decode(data), np.uint8)
    shown = cv2.imdecode(jpeg, cv2.IMREAD_UNCHANGED)
    assert shown.shape == PIXELS.shape
    path.write_bytes(PNG[:40])
    with pytest.raises(CallerError, match=r"film\.png is no picture"):
        film_gallery.data_uri(path)
