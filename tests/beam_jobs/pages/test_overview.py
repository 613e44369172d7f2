"""Tests of overview.html: stands alone, counts right, shows what the records hold."""

from __future__ import annotations

import base64
import collections
import csv
import html.parser
import json
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest
import tensorflow as tf

from records import version

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(html.parser.HTMLParser):
    """Checks that tags are closed, collects images and text by id."""

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.addresses, self.by_id = [], [], [], {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in VOID:
            self.open.append((tag, attrs.get("id")))
        if tag == "img":
            self.images.append(attrs)
        self.addresses += [attrs[key] for key in ("src", "href", "data") if key in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for _, name in self.open:
            if name:
                self.by_id[name] = self.by_id.get(name, "") + data


@pytest.fixture(scope="module")
def text(made_records):
    return (made_records.directory / "overview.html").read_text()


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_it_is_well_formed_and_stands_alone(page, text):
    assert page.open == []
    assert page.addresses
    pictures = [address for address in page.addresses if not address.startswith("#")]
    assert all(address.startswith("data:image/jpeg;base64,") for address in pictures)
    assert not re.search(r"https?:|url\(|@import|<script", text)
    assert "Research use only, not for diagnosis." in text


def test_contents_lead_to_its_parts_and_images_enlarge_without_a_script(text):
    targets = re.findall(r'href="#(\w+)"', text)
    assert targets == ["counts", "made", "balance", "intensities", "images"]
    assert all(text.count(f' id="{target}"') == 1 for target in targets)
    assert text.count('<label class="zoom"><input type="checkbox"') == text.count("<img ") > 0


def test_program_and_data_are_named(page, made_records):
    assert version.PROGRAM in page.by_id["program"]
    manifest = json.loads((made_records.directory / "manifest.json").read_text())
    assert manifest["data_fingerprint"] in page.by_id["fingerprint"]


def test_counts_are_those_of_the_table(page, made_records):
    with (made_records.directory / "sources.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    status = collections.Counter(row["status"] for row in rows)
    shown = {key: int(page.by_id[key]) for key in ("listed", "written", "rejected", "missing")}
    assert shown == {"listed": 60, "written": 57, "rejected": 1, "missing": 1}
    assert shown == {"listed": len(rows), **{k: status[k] for k in list(shown)[1:]}}
    views = collections.Counter(
        (row["view"], row["pathology"]) for row in rows if row["status"] == "written"
    )
    for view in ("CC", "MLO"):
        counts = [views[view, label] for label in ("benign", "malignant", "normal")]
        said = f"{' + '.join(map(str, counts))} = {sum(counts)}"
        assert said in re.sub(r"\s+", " ", page.by_id["by-view"])


def test_thumbnails_are_the_records(page, made_records):
    stored = {}
    for record in tf.data.TFRecordDataset(list(map(str, made_records.shards))).as_numpy_iterator():
        feature = tf.train.Example.FromString(record).features.feature
        image = feature["image_id"].bytes_list.value[0].decode()
        stored[image] = np.frombuffer(feature["image"].bytes_list.value[0], "<u2").reshape(24, 16)
    assert len(page.images) == 24
    for pixels in page.images:
        jpeg = base64.b64decode(pixels["src"].partition(",")[2])
        shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
        record = stored[pixels["alt"].split()[-1]]
        assert shown.shape == record.shape
        assert np.corrcoef(shown.ravel(), record.ravel())[0, 1] > 0.97


def test_the_same_bytes_again(made_records):
    path = made_records.directory / "overview.html"
    before = path.read_bytes()
    (made_records.directory / "manifest.json").unlink()
    path.unlink()
    made_records.run()
    assert path.read_bytes() == before


def test_a_browser_shows_it(made_records, tmp_path):
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium")
    picture = tmp_path / "page.png"
    subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--screenshot={picture}",
            "--window-size=1200,2400",
            f"file://{made_records.directory / 'overview.html'}",
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    shown = cv2.imread(str(picture))
    blue = (np.abs(shown.astype(int) - (0xB2, 0x72, 0x00)).max(axis=2) < 3).sum()
    assert blue > 2000
