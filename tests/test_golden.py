"""A record byte for byte, and its columns wherever they are named.

After a wanted change of the format `make golden` writes the record and the table of docs/data.md.
"""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from beam_jobs.sources.source_row import LESIONS_HEADER, SourceRow
from flags import where
from records import example, schema, tfrecord
from trainer.data import parsing
from trainer.metrics import predictions, subgroups

GOLDEN = pathlib.Path(__file__).parent / "golden" / "record.tfrecord"
PIXELS = (np.arange(24, dtype=np.uint32) * 2849).astype(np.uint16).reshape(6, 4, 1)
IMAGE = SourceRow(
    image_id="P_00001_LEFT_CC",
    patient_id="P_00001",
    side="left",
    view="CC",
    pathology="malignant",
    abnormality="mass+calcification",
    density="3",
    assessment="5",
    mass_shape="OVÁL",
    official_split="train+test",
    abnormalities=2,
    modality="MG",
    intent="presentation",
    kind="magnification+spot compression",
    age="57",
    split="fold0",
    path="not/in/the/record.dcm",
)
TEXTS = dict.fromkeys((one.key for one in schema.FEATURES if one.kind == "text"), "") | {
    "image_id": "P_00001_LEFT_CC",
    "patient_id": "P_00001",
    "side": "left",
    "view": "CC",
    "pathology": "malignant",
    "abnormality": "mass+calcification",
    "density": "3",
    "assessment": "5",
    "mass_shape": "OVÁL",
    "official_split": "train+test",
    "modality": "MG",
    "intent": "presentation",
    "kind": "magnification+spot compression",
    "age": "57",
}
NUMBERS = {"abnormalities": 2, "label": 3, "original_height": 4680, "original_width": 2576}


def encode() -> bytes:
    return b"".join(tfrecord.frame_record(example.encode(IMAGE.clinical(), PIXELS, (4680, 2576))))


def test_the_golden_record(request):
    if request.config.getoption("--rebuild-golden"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_bytes(encode())
    assert encode() == GOLDEN.read_bytes()


def test_the_documented_columns_are_those_of_a_record(request, root):
    text = (root / "docs/data.md").read_text()
    before, rest = text.split("| `image` | image |")
    after = rest[rest.index("\n\n") :]
    rows = (f"| `{one.key}` | {one.kind} | {one.doc} |" for one in schema.FEATURES)
    made = before + "\n".join(rows) + after
    if request.config.getoption("--rebuild-golden"):
        (root / "docs/data.md").write_text(made)
    assert made == (root / "docs/data.md").read_text()


def test_tensorflow_reads_it():
    (record,) = tf.data.TFRecordDataset(str(GOLDEN)).as_numpy_iterator()
    feature = tf.train.Example.FromString(record).features.feature
    assert feature.keys() == {"image", *TEXTS, *NUMBERS}
    for key, text in TEXTS.items():
        assert [value.decode() for value in feature[key].bytes_list.value] == [text], key
    for key, number in NUMBERS.items():
        assert list(feature[key].int64_list.value) == [number], key
    (raw,) = feature["image"].bytes_list.value
    np.testing.assert_array_equal(np.frombuffer(raw, "<u2").reshape(6, 4, 1), PIXELS)


def test_tensorflow_writes_the_same_frame(tmp_path):
    path = tmp_path / "record.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(example.encode(IMAGE.clinical(), PIXELS, (4680, 2576)))
    assert path.read_bytes() == encode()


@pytest.mark.parametrize("data", [b"", b"x", bytes(100_000)], ids=["empty", "one", "many"])
def test_frames_of_any_length(data, tmp_path):
    path = tmp_path / "record.tfrecord"
    path.write_bytes(b"".join(tfrecord.frame_record(data)) * 2)
    assert list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator()) == [data, data]


@pytest.mark.parametrize("feature", schema.FEATURES, ids=lambda feature: feature.key)
def test_a_column_is_known_wherever_the_table_says(feature):
    """One is added in records/schema.py, SourceRow and a source; `make golden` does the rest."""
    from_tables = feature.key in schema.CLINICAL_KEYS
    assert (feature.key in IMAGE.clinical()) == from_tables
    assert (feature.key in schema.SOURCES_HEADER) == from_tables
    assert (feature.key in where.COLUMNS) == from_tables
    assert not feature.of_lesions or feature.key in LESIONS_HEADER
    titled = bool(feature.title)
    assert titled == (feature.key in subgroups.COLUMNS)
    assert titled == (feature.key in predictions.COLUMNS[5:])
    assert titled == (feature.key in parsing.METADATA_KEYS[2:])
    assert (
        feature.key
        in tf.train.Example.FromString(
            next(tf.data.TFRecordDataset(str(GOLDEN)).as_numpy_iterator())
        ).features.feature
    )
