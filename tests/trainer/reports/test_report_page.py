"""The report shows every section and number, needs nothing outside itself, and stays the same."""

from __future__ import annotations

import base64
import dataclasses
import functools
import html.parser
import json
import pathlib
import re
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from flags.training_config import TrainingConfig
from records import version
from records.errors import CallerError
from tests import make
from trainer.heat_maps import overlay
from trainer.metrics import compute, metric_table, predictions, typed_json
from trainer.metrics.predictions import Prediction, two_classes
from trainer.reports import gallery, report_page, template
from trainer.reports.gallery import GalleryImage, Picture

NAMES = ("benign", "malignant")
AWKWARD = "image<script>alert('1')</script>&\"$x_1$"
HISTORY = "phase,epoch,loss,accuracy,auc,val_loss,val_accuracy,val_auc,learning_rate,seconds"


def split(folds: list[str], benign: int, malignant: int, patients: int) -> dict[str, Any]:
    return {
        "folds": folds,
        "images": benign + malignant,
        "patients": patients,
        "labels": {"benign": benign, "malignant": malignant},
        "left_out": 7,
    }


RUN: dict[str, Any] = typed_json.to_json(
    make.described(
        size="512x320",
        recipe="paper",
        policies={
            "label_policy": "any_malignant",
            "split_policy": "official",
            "leak_policy": "drop_from_train",
        },
        splits={
            "train": split(["fold1", "fold2", "fold3", "fold4"], 1023, 811, 977),
            "validation": split(["fold0"], 254, 203, 245),
            "test": split(["test"], 87, 63, 75),
        },
        weights="ImageNet (mobilenet_v2.weights.h5)",
        parameters=2914369,
        class_weights=[0.896, 1.131],
        minutes={"phase1": 31.4, "phase2": 88.25, "evaluation": 0.6},
    )
)


SPLITS: dict[str, Any] = RUN["splits"]


def history(epochs: int, *, phase1: int) -> str:
    lines = [HISTORY]
    for epoch in range(1, epochs + 1):
        fall = 0.72 * 0.96**epoch
        training = (fall, 0.9 - fall / 2, 0.97 - fall / 2)
        values = (*training, fall + 0.04, 0.8 - fall / 3, 0.85 - fall / 3)
        numbers = ",".join(f"{value:.5f}" for value in values)
        phase = 1 if epoch <= phase1 else 2
        lines.append(f"{phase},{epoch},{numbers},{10.0 ** -(2 * phase + 1)},61.5")
    return "\n".join(lines) + "\n"


def realistic_images(count: int = 150) -> list[Prediction]:
    rng = np.random.default_rng(8)
    return [
        Prediction(
            f"P_{index:05d}_{'LEFT' if index % 4 < 2 else 'RIGHT'}_{'CC' if index % 2 else 'MLO'}",
            f"P_{index // 2:05d}",
            int(index % 50 < 21),
            probabilities=two_classes(1 / (1 + np.exp(-rng.normal(1.6 * (index % 50 < 21) - 0.9)))),
            split="test",
        )
        for index in range(count)
    ]


def build(
    run_dir: pathlib.Path,
    images: list[Prediction] | None = None,
    run: dict[str, Any] | None = None,
    epochs: str = history(34, phase1=22),
) -> pathlib.Path:
    """Writes a run folder; the arguments replace parts of it."""
    images = realistic_images() if images is None else images
    scores = typed_json.to_json(
        compute.score(images, split="test", label_names=NAMES, resamples=200)
    )
    (run_dir / "config.json").write_text(json.dumps(TrainingConfig(dropout=0.37).to_json()))
    (run_dir / "run.json").write_text(json.dumps(RUN | (run or {})))
    (run_dir / "history.csv").write_text(epochs)
    (run_dir / "metrics.json").write_text(json.dumps(scores))
    predictions.write(run_dir / "predictions.csv", images)
    gallery.write(run_dir, SHOWN, PICTURES)
    return run_dir


@pytest.fixture
def make_run(tmp_path: pathlib.Path) -> Callable[..., pathlib.Path]:
    return functools.partial(build, tmp_path)


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A run whose report is written; tests only look at it."""
    run_dir = build(tmp_path_factory.mktemp("run"))
    report_page.write(run_dir)
    return run_dir


@pytest.fixture(scope="module")
def plain_page(plain_run: pathlib.Path) -> Page:
    return Page((plain_run / "report.html").read_text("utf-8"))


def picture(height: int = 64) -> bytes:
    """Draws a breast-like half disc, brighter in the middle."""
    rows, columns = np.mgrid[:height, : height * 5 // 8] / height
    bright = np.clip(1 - (rows - 0.5) ** 2 * 5 - columns**2 * 4, 0, 1)
    return overlay.encode((bright * 200).astype(np.uint8))


SHOWN = [
    GalleryImage(AWKWARD, "error", 1, 0, 0.04),
    GalleryImage("P_00005_LEFT_CC", "error", 0, 1, 0.93),
    GalleryImage("P_00006_LEFT_CC", "surest", 1, 1, 0.995),
    GalleryImage("P_00003_LEFT_CC", "surest", 0, 0, 0.02),
]
PICTURES = {image.image_id: Picture(picture(), picture()) for image in SHOWN}
PICTURES["P_00003_LEFT_CC"] = Picture(picture(420))


class Page(html.parser.HTMLParser):
    """Collects what a browser would load and what a reader would read."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.styles = ""
        self.feed(text)
        self.text = re.sub(r"[ \n\t]+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "style" and "{" in data:
            self.styles += data
        else:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(run_dir: pathlib.Path) -> Page:
    path = report_page.write(run_dir)
    assert path == run_dir / "report.html"
    return Page(path.read_text("utf-8"))


def test_contents_lead_to_sections_and_pictures_enlarge(plain_page: Page) -> None:
    page = plain_page
    ids = {one["id"] for one in page.all("h2")}
    links = [one["href"] for one in page.all("a") if one["href"].startswith("#")]
    assert len(links) > 10
    assert {link[1:] for link in links} <= ids
    assert len([one for one in page.all("input") if one["type"] == "checkbox"]) == len(
        page.all("img")
    )
    assert f"{version.NAME} {version.VERSION}" in page.text


def test_every_section_stands_in_order(plain_page: Page) -> None:
    page, place = plain_page, 0
    for part in (
        "MobileNetV2 on CBIS-DDSM: benign or malignant?",
        "Research use only, not for diagnosis.",
        "Result on the test split",
        "In words",
        "ROC and precision-recall curves",
        "Right and wrong predictions",
        "Can its probabilities be taken at their word?",
        "Sensitivity (recall)",
        "By image, breast and patient",
        "Groups of images",
        "Worst errors",
        "Surest right predictions",
        "Training",
        "Data CBIS-DDSM.",
        "Words used here Sensitivity",
        "How it was made",
    ):
        place = page.text.index(part, place)  # behind the part before; contents name some too
    assert len(page.all("h1")) == 1


def test_every_number_is_there(plain_run: pathlib.Path, plain_page: Page) -> None:
    text = plain_page.text.replace("\u200a", "")
    scores = json.loads((plain_run / "metrics.json").read_text())
    for name in (
        "auc",
        *metric_table.keys("binary", section="decisions"),
        "partial_auc",
        "average_precision",
        "brier",
        "log_loss",
    ):
        value, low, high = (f"{scores[name][key]:.3f}" for key in ("value", "low", "high"))
        assert f"{value} {low}\u2013{high}" in text, name
    error = scores["calibration_error"]
    assert f"{error['value']:.3f} by chance alone {error['by_chance']['mean']:.3f}" in text
    for how in ("mean", "max"):
        of_patients = scores["levels"]["patient"][how]["auc"]
        assert f"75 75 {of_patients['value']:.3f} {of_patients['low']:.3f}\u2013" in text
    assert "Each breast not defined: 150 of 150 images do not state their side" in text
    assert "No other threshold: 150 of 150 images have no threshold chosen on validation." in text
    assert "Not calibrated: 150 of 150 images have no calibrated probability." in text
    assert "nothing to group them by, such as view or density" in text
    assert f"95 % interval {scores['auc']['low']:.3f}\u2013" in text
    assert f"would get {scores['majority_baseline']:.3f}" in text
    (tn, fp), (fn, tp) = scores["confusion_matrix"]
    for cell, row in ((tn, tn + fp), (fp, tn + fp), (fn, fn + tp), (tp, fn + tp)):
        assert f"{cell} {100 * cell / row:.1f} %" in text
    assert "150 images of 75 patients" in text
    assert "train fold1, fold2, fold3, fold4 1\u202f834 977 1\u202f023 811 7" in text
    assert "test test 150 75 87 63 7" in text
    for part in (
        *(
            "9f2c" * 16,
            "512x320, paper",
            "2\u202f914\u202f369",
            "ImageNet (mobilenet_v2",
            "88.2 minutes",
        ),
        *("42.7 images a second", "/device:CPU:0", "tensorflow 2.17.1", "keras 3.15.0", "seed 111"),
        *("dropout 0.37", "benign 0.896, malignant 1.131", "CC BY 3.0", "Lee et al."),
        *("run_dir not set", scores["interval"], "drop_from_train: training images of patients"),
    ):
        assert part in text, part


def test_nothing_is_loaded_from_outside(plain_page: Page) -> None:
    page = plain_page
    assert "url(" not in page.styles
    assert "@import" not in page.styles
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {
        tag for tag, _ in page.tags
    }
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            told = (value or "").removeprefix("data:image/jpeg;base64,/9j/")
            assert not re.search(r"https?:|^//", told), (tag, name, value)
            if name in ("src", "href", "xlink:href", "clip-path", "style"):
                links = re.findall(r"url\(([^)]*)\)", value or "") or (
                    [value] if name in ("src", "href", "xlink:href") else []
                )
                assert all(re.match("#|data:image/jpeg;base64,", link or "") for link in links)
    assert "https://doi.org" in page.text  # an address as plain text is fine


def test_ids_are_unique_and_found(plain_page: Page) -> None:
    page = plain_page
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = [a["href"] for _, a in page.tags if (a.get("href") or "").startswith("#")]
    used += ["#" + (a["aria-labelledby"] or "") for _, a in page.tags if "aria-labelledby" in a]
    clips = [a["clip-path"] or "" for _, a in page.tags if "clip-path" in a]
    used += [clip[4:-1] for clip in clips]
    assert clips
    assert {link[1:] for link in used if link} <= set(ids)


def test_every_image_has_words_and_pixels(plain_page: Page) -> None:
    page = plain_page
    images = page.all("img")
    assert len(images) == 7  # four images, three with heat maps
    shapes = []
    for image in images:
        assert len(image["alt"] or "") > 20
        data = base64.b64decode((image["src"] or "").removeprefix("data:image/jpeg;base64,"))
        shapes.append(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).shape)
    assert shapes == [(64, 40)] * 6 + [(420, 262)]
    drawings = page.all("svg")
    assert len(drawings) == 7  # ROC, precision-recall, histogram, reliability; loss, AUC, accuracy
    for drawing in drawings:
        assert drawing["role"] == "img"
        assert len(drawing["aria-label"] or "") > 20


def test_images_are_told_with_truth_answer_and_probability(plain_page: Page) -> None:
    text = plain_page.text
    places = [
        text.index(part)
        for part in (
            "Worst errors The 2 images called wrong that the model was surest of, at threshold 0.5",
            f"called benign , truly malignant probability of malignant 0.040 {AWKWARD}",
            "called malignant , truly benign probability of malignant 0.930 P_00005_LEFT_CC",
            "Surest right predictions",
            "called malignant , truly malignant probability of malignant 0.995 P_00006_LEFT_CC",
            "called benign , truly benign probability of malignant 0.020 P_00003_LEFT_CC",
        )
    ]
    assert places == sorted(places)


def test_awkward_strings_are_text(make_run: Callable[..., pathlib.Path]) -> None:
    evil = {"dataset_title": AWKWARD, "licence": "</table><img src=x>", "devices": ["<b>"]}
    page = page_of(make_run(run=evil))
    assert not page.all("script")
    assert all((image["src"] or "").startswith("data:") for image in page.all("img"))
    assert page.text.count(AWKWARD) >= 4  # title, heading, data, image
    assert any(AWKWARD in (image["alt"] or "") for image in page.all("img"))


def test_awkward_label_names_are_text_in_figures(make_run: Callable[..., pathlib.Path]) -> None:
    run_dir = make_run()
    names = ["<i>a</i>", '$\\frac{b}$ & "c"']
    for name in ("run.json", "metrics.json"):
        text = (run_dir / name).read_text()
        for old, new in zip(NAMES, names, strict=True):
            text = text.replace(f'"{old}"', json.dumps(new))
        (run_dir / name).write_text(text)
    page = page_of(run_dir)
    assert not page.all("i") or all("style" in mark for mark in page.all("i"))
    assert f"probability of {names[1]}" in page.text


@pytest.mark.parametrize(
    ("run", "text"),
    [
        ({}, None),
        ({"synthetic": True}, "Synthetic phantoms, not mammograms"),
        ({"weights_warning": "No ImageNet weights <here>."}, "No ImageNet weights <here>."),
        ({"policies": RUN["policies"] | {"split_policy": "image"}}, "Patients are not kept apart."),
        ({"policies": RUN["policies"] | {"leak_policy": "keep"}}, "Leaked patients were kept."),
    ],
    ids=["none", "synthetic", "weights", "image split", "leaks kept"],
)
def test_warnings_stand_before_the_scores(
    make_run: Callable[..., pathlib.Path], run: dict[str, Any], text: str | None
) -> None:
    page = page_of(make_run(run=run))
    alarms = [tag for tag in page.all("p") if "alarm" in (tag.get("class") or "")]
    assert len(alarms) == (0 if text is None else 1)
    if text is not None:
        assert page.text.index(text) < page.text.index("Result on the test split")


def test_one_answer_for_everything_is_said(make_run: Callable[..., pathlib.Path]) -> None:
    images = [
        Prediction(f"f{n}", f"p{n}", n % 2, probabilities=two_classes(0.2 + n / 100))
        for n in range(20)
    ]
    text = page_of(make_run(images=images)).text
    assert "The model calls every image the same. All 20 images are called benign" in text
    assert "not defined: the model calls no image malignant" in text
    assert "It is not shown to be right more often than always predicting" in text


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        ([], "there are no images in this split"),
        (
            [Prediction(f"f{n}", f"p{n}", 0, probabilities=two_classes(n / 10)) for n in range(9)],
            "no image of this split is malignant",
        ),
    ],
    ids=["empty", "one class"],
)
def test_undefined_figures_show_their_reason(
    make_run: Callable[..., pathlib.Path], images: list[Prediction], reason: str
) -> None:
    page = page_of(make_run(images=images))
    assert f"Not defined: {reason}." in page.text  # headline
    assert (
        "AUC how often a malignant image gets a higher probability than a benign one; " in page.text
    )
    assert f"chance not defined: {reason}" in page.text  # table
    assert f"No ROC curve: {reason}." in page.text
    assert f"No precision-recall curve: {reason}." in page.text
    assert not re.search(r"\b(nan|NaN|None|Undefined)\b", page.text)


def test_a_withheld_interval_shows_its_reason(make_run: Callable[..., pathlib.Path]) -> None:
    images = [
        Prediction(f"f{n}", f"p{n}", int(n == 9), probabilities=two_classes(n / 10))
        for n in range(10)
    ]
    text = page_of(make_run(images=images)).text
    assert "1.000 no interval: the metric is not defined in 3" in text
    assert "It ranks these images without a fault; how it ranks others is not known." in text
    assert "The band holds" not in text
    assert "95 % band" not in text  # of the drawings


@pytest.mark.parametrize(
    ("epochs", "drawings", "phase2"),
    [
        pytest.param(history(1, phase1=1), 3, False, id="one epoch"),
        pytest.param(history(9, phase1=0), 3, False, id="phase 2 alone"),
        pytest.param(history(9, phase1=4), 3, True, id="both"),
        pytest.param(f"{HISTORY}\n1,1,0.7,,nan,inf,,,0.001,3\n", 3, False, id="gaps"),
        pytest.param(f"{HISTORY}\n", 0, False, id="none"),
    ],
)
def test_training_of_any_length(
    make_run: Callable[..., pathlib.Path], epochs: str, drawings: int, phase2: bool
) -> None:
    page = page_of(make_run(epochs=epochs))
    assert len(page.all("svg")) == 4 + drawings
    assert (page.text.count("\u00a0phase 2") == 3) == phase2
    assert ("No epoch is on record." in page.text) == (drawings == 0)


def test_no_pictures_is_said(make_run: Callable[..., pathlib.Path]) -> None:
    run_dir = make_run()
    (run_dir / "images" / "images.json").unlink()
    text = page_of(run_dir).text
    assert "This run keeps no pictures" in text
    assert "Surest right predictions" not in text


def test_no_error_is_said(make_run: Callable[..., pathlib.Path]) -> None:
    run_dir = make_run()
    gallery.write(run_dir, SHOWN[2:], PICTURES)
    assert "No image was called wrong." in page_of(run_dir).text


def test_the_same_run_gives_the_same_bytes(make_run: Callable[..., pathlib.Path]) -> None:
    run_dir = make_run()
    first = report_page.write(run_dir).read_bytes()
    assert report_page.write(run_dir).read_bytes() == first
    assert b"<dc:date>" not in first
    assert sorted(path.name for path in run_dir.iterdir()) == sorted(
        [
            *("config.json", "images", "run.json", "history.csv", "metrics.json"),
            *("predictions.csv", "report.html"),
        ]
    )


def test_other_splits_in_predictions_are_left_aside(make_run: Callable[..., pathlib.Path]) -> None:
    run_dir = make_run()
    before = report_page.write(run_dir).read_bytes()
    images = [
        *realistic_images(),
        Prediction("other", "p", 1, probabilities=two_classes(0.5), split="fold0"),
    ]
    predictions.write(run_dir / "predictions.csv", images)
    assert report_page.write(run_dir).read_bytes() == before


def test_refuses_scores_of_other_predictions(make_run: Callable[..., pathlib.Path]) -> None:
    run_dir = make_run()
    predictions.write(run_dir / "predictions.csv", realistic_images()[:-1])
    with pytest.raises(CallerError, match=r"metrics.json has confusion matrix .* but predictions"):
        report_page.write(run_dir)


@pytest.mark.parametrize(
    "name", ["config.json", "run.json", "history.csv", "metrics.json", "predictions.csv"]
)
def test_refuses_a_run_without(make_run: Callable[..., pathlib.Path], name: str) -> None:
    run_dir = make_run()
    (run_dir / name).unlink()
    with pytest.raises(CallerError, match=f"{name} does not exist"):
        report_page.write(run_dir)
    assert not (run_dir / "report.html").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.json", "{", "run.json is damaged"),
        ("run.json", "[]", "run.json holds list, wanted an object"),
        ("run.json", json.dumps({k: v for k, v in RUN.items() if k != "seed"}), "lacks seed"),
        (
            "metrics.json",
            json.dumps({"split": "test", "images": 1}),
            r"metrics.json lacks patients; write it anew with python -m trainer report --run=",
        ),
        ("history.csv", f"{HISTORY}\n1,1,low,1,1,1,1,1,1,1\n", "column 'loss', is not all numbers"),
        ("history.csv", "phase,epoch\n1,1\n", "history.csv lacks column 'loss'; train"),
    ],
    ids=["damaged", "list", "no seed", "metrics lack a key", "text for number", "no loss"],
)
def test_refuses_a_broken_file(
    make_run: Callable[..., pathlib.Path], name: str, content: str, message: str
) -> None:
    run_dir = make_run()
    (run_dir / name).write_text(content)
    with pytest.raises(CallerError, match=message):
        report_page.write(run_dir)


THREE = ("normal", "benign", "malignant")


@pytest.mark.parametrize("ordinal", [False, True], ids=["classes", "ordinal"])
@pytest.mark.parametrize("missing", [None, 2], ids=["all", "one class without images"])
def test_three_classes(
    make_run: Callable[..., pathlib.Path], ordinal: bool, missing: int | None
) -> None:
    rng = np.random.default_rng(4)
    images = [
        Prediction(
            f"f{n}",
            f"p{n // 2}",
            n % 3,
            split="test",
            columns={"side": "left" if n % 2 else "right"},
            probabilities=tuple(row),
        )
        for n, row in enumerate(rng.dirichlet([2, 1, 1], size=90))
        if n % 3 != missing
    ]
    parts = {name: part | {"labels": dict.fromkeys(THREE, 30)} for name, part in SPLITS.items()}
    run_dir = make_run(run={"label_names": THREE, "splits": parts, "class_weights": [1, 2, 3]})
    scores = typed_json.to_json(
        compute.score(images, split="test", label_names=THREE, ordinal=ordinal, resamples=200)
    )
    (run_dir / "metrics.json").write_text(json.dumps(scores))
    predictions.write(run_dir / "predictions.csv", images)
    shown = [GalleryImage("wrong", "error", 0, 1, 0.4), GalleryImage("right", "surest", 2, 2, 0.6)]
    gallery.write(run_dir, shown, {f.image_id: Picture(picture()) for f in shown})
    page = page_of(run_dir)
    assert "MobileNetV2 on CBIS-DDSM: normal, benign or malignant?" in page.text
    assert ("Quadratic weighted kappa" in page.text) == ordinal
    for name in ("auc", "accuracy", "balanced_accuracy", "macro_f1"):
        value = scores[name]["value"]
        said = f"{value:.3f}" if value is not None else "no image of this split is malignant"
        assert said in page.text
    assert (scores["auc"]["value"] is None) == (missing is not None)
    for row in scores["confusion_matrix"]:
        for cell in row:
            assert f"{cell} {100 * cell / sum(row):.1f} %" in page.text if sum(row) else cell == 0
    assert "called malignant , truly malignant probability of malignant 0.600 right" in page.text
    assert "called benign , truly normal probability of benign 0.400 wrong" in page.text
    for group in scores["subgroups"]["side"]:
        sizes = [group[key] for key in ("images", "patients")] + list(group["labels"].values())
        assert f"{group['value']} {' '.join(map(str, sizes))} " in page.text
        assert f"{group['accuracy']['value']:.3f} {group['accuracy']['low']:.3f}" in page.text
    assert "No other threshold: a threshold parts two classes, here are more." in page.text
    assert not re.search(r"\b(nan|NaN|None|Undefined)\b", page.text)
    (run_dir / "metrics.json").write_text(json.dumps(scores | {"confusion_matrix": [[0] * 3] * 3}))
    with pytest.raises(CallerError, match=r"but predictions\.csv gives"):
        report_page.write(run_dir)


@pytest.mark.parametrize(
    "path", sorted(make.ROOT.glob("trainer/*/*.j2")), ids=lambda path: path.name
)
def test_counts_agree_with_their_nouns(path: pathlib.Path) -> None:
    found = re.findall(r"(?:number|length|images|patients) \}\} [a-z]+s\b", path.read_text("utf-8"))
    assert not found, "write {{ ... | counted(NOUNS) }}"


def test_one_image_is_no_plural(make_run: Callable[..., pathlib.Path]) -> None:
    parts = {name: split([name], 1, 0, 1) for name in SPLITS}
    path = report_page.write(make_run(realistic_images(1), run={"splits": parts}))
    text = Page(re.sub("(?s)<svg.*?</svg>", "", path.read_text("utf-8"))).text
    assert "trained on 1 image of 1 patient to tell" in text
    assert not re.findall(r"\b(?<!of )1 (?:images|patients)\b", text)


def test_a_report_on_breasts_says_breasts(make_run: Callable[..., pathlib.Path]) -> None:
    """Also in axes, alternative texts and reasons; an image is one only where pixels are meant."""
    breasts = [
        dataclasses.replace(one, image_ids="a;b", columns={"side": one.image_id.split("_")[2]})
        for one in realistic_images()
    ]
    told = {"unit": "breast", "views": ["CC", "MLO"], "joined_by": "attention"}
    path = report_page.write(make_run(breasts, run=told))
    markup = r'(?s)<style.*?</style>|data:image/[^"]*|"images"'
    left = re.sub(markup, "", path.read_text("utf-8"))
    for meant in (
        "Each image was made 512x320 pixels",
        "Beside each image a heat map",
        "within the image",
        "Where in the image the network found",
        "an image is malignant if any of its lesions is",  # the label policy
        "image&lt;script",  # a name
    ):
        assert meant in left
        left = left.replace(meant, "")
    assert not re.findall(r"(?i).{0,40}\bimages?\b.{0,40}", left)
    words = Page(left).text
    for said in ("of the breasts are called right", "fraction of breasts that are malignant"):
        assert said in words
    assert "A breast is called malignant if" in words
    assert "The class of a breast is read from" in words


def test_the_noun_stays_within_the_prose() -> None:
    page = '<i class="images" id="image1">An image, than images, image_id, image-wise</i>'
    said = template.of_unit(page, "breast")
    assert said == page.replace("An image, than images", "A breast, than breasts")
    assert template.of_unit("An image of an image", "exam") == "An exam of an exam"
    assert template.of_unit(page, "image") == page


def test_batch_normalisation_of_the_base_is_told(make_run: Callable[..., pathlib.Path]) -> None:
    decided = {"learns": False, "batch": 4, "devices": 1}
    text = page_of(make_run(run={"base_batch_norm": decided})).text
    assert "is frozen (--base_batch_norm=auto: 4 images, fewer than 8)" in text


def test_images_chosen_sampled_and_damaged_are_told(make_run: Callable[..., pathlib.Path]) -> None:
    parts = {
        name: part | {"filtered": 12, "damaged": 3, "epoch": 1622} for name, part in SPLITS.items()
    }
    told = {
        "splits": parts,
        "where": "view == 'CC'",
        "sampling": "under",
        "damaged_records": ["a-shard record 7 (from byte 1234)"],
        "absent_classes": ["BI-RADS 6"],
    }
    text = page_of(make_run(run=told)).text
    for words in (
        *("images that do not meet view == 'CC' .", "No image is BI-RADS 6: not predicted."),
        *("“under”: an epoch has 1\u202f622 images", "a-shard record 7 (from byte 1234)"),
        "test test 150 75 87 63 7 12 3",
    ):
        assert words in text, words
