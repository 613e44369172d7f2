"""Images shown: the right ones, in the right order, and never half written."""

from __future__ import annotations

import base64
import hashlib
import json
import pathlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.errors import CallerError
from trainer.heat_maps import overlay
from trainer.metrics import predictions
from trainer.metrics.predictions import Prediction
from trainer.reports import gallery
from trainer.reports.gallery import ERRORS, SUREST, GalleryImage, Picture

PIXELS = np.arange(63 * 41).reshape(63, 41).astype(np.uint8)
PNG = overlay.encode(PIXELS)


def two_classes(*answers: tuple[int, float]) -> list[Prediction]:
    return [
        Prediction(f"f{n:03d}", f"p{n}", label, probabilities=predictions.two_classes(p))
        for n, (label, p) in enumerate(answers)
    ]


def test_the_worst_errors_come_first_then_the_surest_of_each_class() -> None:
    images = two_classes((0, 0.51), (1, 0.2), (0, 0.9), (1, 0.9), (0, 0.1), (1, 0.7), (0, 0.5))
    chosen = gallery.choose(images[::-1], ordinal=False)
    assert [(image.image_id, image.kind, image.label, image.called) for image in chosen] == [
        ("f002", "error", 0, 1),
        ("f001", "error", 1, 0),
        ("f000", "error", 0, 1),
        ("f003", "surest", 1, 1),
        ("f005", "surest", 1, 1),
        ("f004", "surest", 0, 0),
        ("f006", "surest", 0, 0),  # 0.5 itself is not above the threshold
    ]
    assert [image.probability for image in chosen] == [0.9, 0.2, 0.51, 0.9, 0.7, 0.1, 0.5]


def test_equals_go_by_name_and_the_numbers_are_limited() -> None:
    images = two_classes(*[(n % 2, 0.75) for n in range(60)])
    chosen = gallery.choose(images[::-1], ordinal=False)
    errors = [image.image_id for image in chosen if image.kind == "error"]
    assert errors == [f"f{n:03d}" for n in range(0, 2 * ERRORS, 2)]
    assert [image.image_id for image in chosen[ERRORS:]] == [f"f{n:03d}" for n in (1, 3)[:SUREST]]


@pytest.mark.parametrize(("ordinal", "answer"), [(False, 0), (True, 1)])
def test_answers_of_several_classes(ordinal: bool, answer: int) -> None:
    probabilities = (0.4, 0.35, 0.25)  # likeliest: 0; the median grade: 1
    image = Prediction("f", "p", 2, probabilities=probabilities)
    (chosen,) = gallery.choose([image], ordinal=ordinal)
    assert chosen == GalleryImage("f", "error", 2, answer, probabilities[answer])


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0, 0.2, 0.5, 0.6, 1])), max_size=80))
def test_the_worst_of_all_are_among_the_worst_of_parts(answers: list[tuple[int, float]]) -> None:
    images = two_classes(*answers)
    of_parts = {
        image.image_id
        for part in (images[::3], images[1::3], images[2::3])
        for image in gallery.choose(part, ordinal=False)
    }
    assert {image.image_id for image in gallery.choose(images, ordinal=False)} <= of_parts


def test_what_is_kept_is_read_back(tmp_path: pathlib.Path) -> None:
    shown = [GalleryImage("a", "error", 0, 1, 0.9), GalleryImage("none", "error", 0, 1, 0.8)]
    shown += [GalleryImage('<b>"b"</b>', "surest", 1, 1, 0.7)]
    red = np.zeros((5, 4, 3), np.uint8)
    red[..., 0] = 200
    heat_map = overlay.encode(red)
    pictures = {"a": Picture(PNG, heat_map), '<b>"b"</b>': Picture(PNG), "unused": Picture(PNG)}
    for _ in range(2):
        gallery.write(tmp_path, shown, pictures)
        images = gallery.read(tmp_path)
    image, heat = (f"{hashlib.sha256(png).hexdigest()[:16]}.png" for png in (PNG, heat_map))
    assert images == [
        GalleryImage("a", "error", 0, 1, 0.9, image, heat),
        GalleryImage('<b>"b"</b>', "surest", 1, 1, 0.7, image, None),
    ]
    folder = tmp_path / "images"
    assert {path.name for path in folder.iterdir()} == {image, heat, "images.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
    kept = cv2.imread(str(folder / image), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(kept, PIXELS)
    assert cv2.imread(str(folder / heat))[0, 0].tolist() == [0, 0, 200]  # blue first
    fields = {"image_id", "kind", "label", "called", "probability", "file", "heat_map"}
    assert all(set(image) == fields for image in json.loads((folder / "images.json").read_text()))


def test_a_crash_leaves_the_images_of_before(tmp_path: pathlib.Path) -> None:
    gallery.write(tmp_path, [GalleryImage("a", "error", 0, 1, 0.9)], {"a": Picture(PNG)})
    broken = Picture(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        gallery.write(tmp_path, [GalleryImage("b", "error", 0, 1, 0.9)], {"b": broken})
    assert [image.image_id for image in gallery.read(tmp_path)] == ["a"]


def test_what_was_kept_before_stays(tmp_path: pathlib.Path) -> None:
    other = overlay.encode(PIXELS[:1])
    for png in (PNG, other):
        gallery.write(tmp_path, [GalleryImage("a", "error", 0, 1, 0.9)], {"a": Picture(png)})
    folder = tmp_path / "images"
    names = [
        json.loads((folder / name).read_text())[0]["file"]
        for name in ("images-1.json", "images.json")
    ]
    assert [(folder / name).read_bytes() for name in names] == [PNG, other]


def test_images_of_folds_are_gathered(tmp_path: pathlib.Path) -> None:
    images = two_classes(*[(n % 2, n / 100) for n in range(100)])
    runs = [tmp_path / f"fold{fold}" for fold in range(3)]
    for fold, run in enumerate(runs):
        chosen = gallery.choose(images[fold::3], ordinal=False)
        grey = {f.image_id: np.full((4, 4), int(f.image_id[1:]), np.uint8) for f in chosen}
        pictures = {name: overlay.encode(pixels) for name, pixels in grey.items()}
        gallery.write(run, chosen, {name: Picture(png, png) for name, png in pictures.items()})
    gallery.gather(tmp_path, runs, images, ordinal=False)
    gathered = gallery.read(tmp_path)
    expected = gallery.choose(images, ordinal=False)
    assert [image.image_id for image in gathered] == [image.image_id for image in expected]
    for image in gathered:
        for name in (image.file, image.heat_map):
            pixels = cv2.imread(str(tmp_path / "images" / str(name)), cv2.IMREAD_UNCHANGED)
            assert (pixels == int(image.image_id[1:])).all()
    (runs[0] / "images" / "images.json").unlink()  # as if evaluated by an earlier version
    gallery.gather(tmp_path, runs, images, ordinal=False)
    assert len(gallery.read(tmp_path)) < len(gathered)


def test_no_images_kept_is_no_error(tmp_path: pathlib.Path) -> None:
    assert gallery.read(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged"),
        ('[{"image_id": "a"}]', "is damaged"),
        ("[1]", "is damaged"),
        ('"text"', "is damaged"),
        ("ELSEWHERE", r"names '../secret.png', which is not there"),
        ("MISSING", r"names '002.png', which is not there"),
    ],
)
def test_refuses_a_damaged_list(tmp_path: pathlib.Path, content: str, message: str) -> None:
    gallery.write(tmp_path, [GalleryImage("a", "error", 0, 1, 0.9)], {"a": Picture(PNG)})
    (tmp_path / "secret.png").write_bytes(PNG)
    path = tmp_path / "images" / "images.json"
    other = {"ELSEWHERE": "../secret.png", "MISSING": "002.png"}.get(content)
    (name,) = (picture.name for picture in path.parent.glob("*.png"))
    path.write_text(path.read_text().replace(name, other) if other else content)
    with pytest.raises(CallerError, match=message):
        gallery.read(tmp_path)


def test_pictures_go_into_a_page_as_jpeg(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(PNG)
    kind, _, data = gallery.data_uri(path).partition(",")
    assert kind == "data:image/jpeg;base64"
    jpeg = np.frombuffer(base64.b64decode(data), np.uint8)
    shown = cv2.imdecode(jpeg, cv2.IMREAD_UNCHANGED)
    assert shown.shape == PIXELS.shape
    path.write_bytes(PNG[:40])
    with pytest.raises(CallerError, match=r"image\.png is no picture"):
        gallery.data_uri(path)
