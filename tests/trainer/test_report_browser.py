"""The report in a browser: nothing missing, readable in light, dark, narrow and in print."""

from __future__ import annotations

import dataclasses
import html
import json
import pathlib
import re
import shutil
import subprocess
from typing import Any

import cv2
import numpy as np
import pytest

from flags.training_config import TrainingConfig
from tests import make
from trainer.evaluation import compared_run
from trainer.heat_maps import overlay
from trainer.inference import image_prediction
from trainer.inference.image_prediction import Formatter, ImagePrediction
from trainer.metrics import compute, predictions, typed_json
from trainer.metrics.predictions import ClassProbabilities, Prediction, two_classes
from trainer.reports import comparison_page, gallery, predictions_page, report_page, template
from trainer.reports.gallery import Picture

NAMES = ("benign", "malignant")
RUN = {
    "synthetic": True,
    "policies": make.PAPER,
    "splits": {
        name: {
            "folds": [name],
            "images": 120,
            "patients": 40,
            "labels": {"benign": 70, "malignant": 50},
            "left_out": 0,
        }
        for name in ("train", "validation", "test")
    },
    "weights": "a_file_of_weights_with_a_very_long_name_0.35_224.weights.h5",
    "weights_warning": "No ImageNet weights could be had.",
    "throughput": {"images_per_second": 40.1, "waiting_percent": 3.2, "peak_memory_gb": 1.2},
}
HISTORY = """phase,epoch,loss,accuracy,auc,val_loss,val_accuracy,val_auc
1,1,0.7,0.5,0.5,0.7,0.5,0.5
1,2,0.6,0.6,0.6,0.65,0.55,0.6
2,3,0.5,0.7,0.7,0.6,0.6,0.65
"""
# Looks at the page from inside. Contrast: WCAG 2.1, 1.4.3.
PROBE = r"""
const rgb = text => {
  const n = text.match(/[\d.]+/g).map(Number), unit = text.startsWith('color(') ? 255 : 1;
  return [n[0] * unit, n[1] * unit, n[2] * unit, n.length > 3 ? n[3] : 1];
};
const light = colour => colour.slice(0, 3).map(v => v / 255)
  .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
const ground = node => {
  for (; node; node = node.parentElement) {
    const colour = rgb(getComputedStyle(node).backgroundColor);
    if (colour[3] > 0) return colour;
  }
  return [255, 255, 255, 1];
};
addEventListener('load', () => {
  const faint = [];
  let texts = 0;
  for (const node of document.body.querySelectorAll('*')) {
    const own = [...node.childNodes].filter(child => child.nodeType === 3);
    const words = own.map(text => text.data.trim()).join('');
    if (!words || !node.getClientRects().length) continue;
    texts += 1;
    const style = getComputedStyle(node);
    const ink = light(rgb(node.closest('svg') ? style.fill : style.color));
    const paper = light(ground(node));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (ratio < 4.5) faint.push([words.slice(0, 40), ratio.toFixed(2)]);
  }
  parent.document.getElementById('found').textContent = JSON.stringify({
    images: [...document.images].map(image => image.complete ? image.naturalWidth : 0),
    drawings: [...document.querySelectorAll('svg')].map(svg => svg.getBoundingClientRect().width),
    tables: [...document.querySelectorAll('table')].map(t => t.querySelectorAll('th').length),
    page: document.documentElement.scrollWidth,
    window: innerWidth,
    scrolled: [...document.querySelectorAll('.scroll')]
      .filter(d => d.scrollWidth > d.clientWidth).length,
    texts: texts,
    faint: faint,
  });
});
"""


def make_images() -> list[Prediction]:
    rng = np.random.default_rng(5)
    images = []
    for number in range(120):
        label = int(number % 40 < 17)
        probability = float(1 / (1 + np.exp(-rng.normal(2 * label - 1, 1.5))))
        images.append(
            Prediction(
                f"P_{number:05d}_{'LEFT' if number % 4 < 2 else 'RIGHT'}",
                f"P_{number // 3:05d}",
                label,
                probabilities=two_classes(probability),
                split="test",
                columns={
                    "side": "left" if number % 4 < 2 else "right",
                    "view": "CC" if number % 2 else "MLO",
                    "density": str(1 + number % 3 if number > 4 else 4),
                    "abnormality": ("mass", "calcification", "mass+calcification")[number % 3],
                },
                calibrated_probabilities=two_classes(0.5 + 0.7 * (probability - 0.5)),
                threshold=0.37,
            )
        )
    return images


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("no chromium")
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A report of everything there can be for two classes."""
    run_dir = tmp_path_factory.mktemp("run")
    images = make_images()
    scores = typed_json.to_json(
        compute.score(images, split="test", label_names=NAMES, resamples=100)
    )
    (run_dir / "metrics.json").write_text(json.dumps(scores))
    (run_dir / "config.json").write_text(json.dumps(TrainingConfig().to_json()))
    make.write_described(run_dir, **RUN)
    (run_dir / "history.csv").write_text(HISTORY)
    predictions.write(run_dir / "predictions.csv", images)
    shown = gallery.choose(images, ordinal=False)
    rng = np.random.default_rng(1)
    pictures = {
        image.image_id: Picture(
            overlay.encode(rng.integers(255, size=(420, 262), dtype=np.uint8)),
            overlay.encode(rng.integers(255, size=(420, 262, 3), dtype=np.uint8)),
        )
        for image in shown
    }
    gallery.write(run_dir, shown, pictures)
    return report_page.write(run_dir)


def open_page(chromium: str, path: pathlib.Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    return subprocess.run(
        [*command, "--enable-logging=stderr", *options, path.as_uri()],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )


DARK = "--blink-settings=preferredColorScheme=0"


@pytest.mark.parametrize(
    ("options", "paper"),
    [([], (255, 255, 255)), ([DARK], (0x14, 0x16, 0x18))],
    ids=["light", "dark"],
)
def test_it_is_shown_without_a_complaint(
    chromium: str,
    page: pathlib.Path,
    tmp_path: pathlib.Path,
    options: list[str],
    paper: tuple[int, int, int],
) -> None:
    picture = tmp_path / "page.png"
    shot = [f"--screenshot={picture}", "--window-size=1200,6000", *options]
    said = open_page(chromium, page, *shot).stderr
    assert "CONSOLE" not in said, said
    shown = cv2.imread(str(picture))[:, :, ::-1]
    assert tuple(shown[5, 5]) == paper
    distance = np.abs(shown.astype(int) - paper).max(axis=2)
    assert (distance > 100).mean() > 0.01  # there is something to see


def test_a_complaint_would_be_seen(
    chromium: str, page: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """What is outside is refused by the page, and the browser says so: the test above can fail."""
    broken = tmp_path / "broken.html"
    outside = '<main><img src="https://example.org/x.png">'
    broken.write_text(page.read_text("utf-8").replace("<main>", outside), "utf-8")
    assert "CONSOLE" in open_page(chromium, broken, f"--screenshot={tmp_path / 'x.png'}").stderr


def look_into(
    chromium: str, page: pathlib.Path, tmp_path: pathlib.Path, width: int, *options: str
) -> dict[str, Any]:
    """What PROBE finds on a page of that width."""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text("utf-8"))
    inside = html.escape(text.replace("</head>", f"<script>{PROBE}</script></head>"))
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<body><pre id="found"></pre><iframe width="{width}" height="900" style="border:0" '
        f'srcdoc="{inside}"></iframe></body>',
        "utf-8",
    )
    dumped = open_page(chromium, frame, "--dump-dom", *options).stdout
    match = re.search(r'<pre id="found">(.*?)</pre>', dumped, re.DOTALL)
    assert match is not None
    found: dict[str, Any] = json.loads(html.unescape(match[1]))
    return found


@pytest.mark.parametrize("options", [[], [DARK]], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1200, 400])
def test_everything_is_there_and_readable(
    chromium: str, page: pathlib.Path, tmp_path: pathlib.Path, width: int, options: list[str]
) -> None:
    found = look_into(chromium, page, tmp_path, width, *options)
    assert found["window"] == width
    assert found["page"] <= width  # what is wider scrolls within its table
    assert found["images"] == [262] * (2 * (gallery.ERRORS + 2 * gallery.SUREST))
    assert len(found["drawings"]) == 8
    assert all(0 < drawn < width for drawn in found["drawings"])
    assert all(found["tables"])
    assert found["texts"] > 500
    assert found["faint"] == []


@pytest.mark.parametrize("images", [60, 8])  # of the fewer there is no interval, but a reason
def test_tables_of_a_comparison_fit_a_window_of_1100_pixels(
    chromium: str, tmp_path: pathlib.Path, images: int
) -> None:
    names = ("mobilenetv2_base", "resnet50_with_a_long_name", "c")
    rng = np.random.default_rng(1)
    for name in names:
        given = [float(1 / (1 + np.exp(-rng.normal(n % 2)))) for n in range(images)]
        make.write_run(tmp_path / name, make.predicted(given), config={"base": name})
    runs = compared_run.read_all([tmp_path / name for name in names])
    comparison_page.write(tmp_path, runs)
    page = tmp_path / "comparison.html"
    found = look_into(chromium, page, tmp_path, 1100)
    assert (found["scrolled"], len(found["tables"]), found["faint"]) == (0, 5, [])
    assert look_into(chromium, page, tmp_path, 400, DARK)["page"] <= 400


@pytest.mark.parametrize("options", [[], [DARK]], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1100, 400])
def test_predictions_are_readable(
    chromium: str, tmp_path: pathlib.Path, width: int, options: list[str]
) -> None:
    picture = overlay.data_uri(np.full((420, 262), 90, np.uint8))
    images = [
        ImagePrediction("a.dcm", exam=1, side="left", view="CC", size=(420, 262)),
        ImagePrediction("b.dcm", error="truncated: 9000 bytes"),
    ]
    images[0] = dataclasses.replace(
        images[0],
        prediction=ClassProbabilities(probabilities=two_classes(0.7)),
        unlike=("its size is 9x9 pixels, theirs 420x262",),
        pictures=(picture, picture),
    )
    about = {
        **dict.fromkeys(("program", "run"), "one"),
        "finished": "2026-11-29T03:15:10+00:00",
        "synthetic": True,
        "networks": 1,
        "classes": NAMES,
        "warnings": ["no better"],
        "evaluation": {"evaluated": "AUC 0.5"},
    }
    content = image_prediction.write(tmp_path, images, Formatter(NAMES), about)
    page = predictions_page.write(tmp_path, images, Formatter(NAMES), content)
    found = look_into(chromium, page, tmp_path, width, *options)
    assert found["page"] <= width
    assert found["images"] == [262, 262]
    assert found["faint"] == []
    assert found["texts"] > 20


def test_a_single_curve_is_no_larger_than_one_of_several(
    chromium: str, tmp_path: pathlib.Path
) -> None:
    """As on the page of a search for one flag."""
    look = (make.ROOT / "trainer/reports" / template.STYLE).read_text("utf-8")
    figure = '<figure><svg viewBox="0 0 10 7"></svg></figure>'
    page = tmp_path / "one.html"
    page.write_text(f'<head>{look}</head><div class="curves">{figure}</div>', "utf-8")
    (drawn,) = look_into(chromium, page, tmp_path, 1100)["drawings"]
    assert drawn < 400


def test_it_prints(chromium: str, page: pathlib.Path, tmp_path: pathlib.Path) -> None:
    paper = tmp_path / "page.pdf"
    open_page(chromium, page, f"--print-to-pdf={paper}", "--no-pdf-header-footer", DARK)
    assert 4 < len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes())) < 20
    tool = shutil.which("pdftoppm")
    if tool is None:
        return
    subprocess.run([tool, "-r", "20", "-png", str(paper), str(tmp_path / "p")], check=True)
    for sheet in sorted(tmp_path.glob("p-*.png")):
        pixels = cv2.imread(str(sheet))
        assert pixels[:3].min() > 250  # white paper, and nothing runs over the edges
        assert pixels[:, :8].min() > 250
        assert pixels[:, -8:].min() > 250, sheet.name


def test_it_is_small_enough_to_send(page: pathlib.Path) -> None:
    assert page.stat().st_size < 5_000_000  # pictures of pure noise: real ones take half
