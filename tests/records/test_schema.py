"""Tests of the record's table: names, versions, and the file TFDS itself would write."""

from __future__ import annotations

import json

import pytest

from records import schema
from records.errors import CallerError
from records.image_size import ImageSize


def test_features_json_is_what_tfds_writes(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    import numpy as np

    kinds = {
        "image": lambda: tfds.features.Tensor(shape=(20, 12, 1), dtype=np.uint16, encoding="bytes"),
        "text": tfds.features.Text,
        "integer": lambda: tfds.features.Scalar(dtype=np.int64),
        "class": lambda: tfds.features.ClassLabel(names=schema.PATHOLOGIES),
    }
    features = tfds.features.FeaturesDict(
        {feature.key: kinds[feature.kind]() for feature in schema.FEATURES}
    )
    features.save_config(tmp_path)
    written = json.loads((tmp_path / "features.json").read_text())
    got = schema.features_json(ImageSize(20, 12))
    assert (tmp_path / "label.labels.txt").read_text().split() == schema.labels_text().split()
    for described in (written, got):
        # protobuf leaves out what is empty, and sorts as it likes
        described.pop("protoClassName", None)
    assert got == written

    (tmp_path / "features.json").write_text(json.dumps(got))
    read = tfds.features.FeaturesDict.from_config(tmp_path)
    assert read["image"].shape == (20, 12, 1)
    assert read["image"].np_dtype == np.uint16


def test_keys_are_unique():
    keys = [feature.key for feature in schema.FEATURES]
    assert len(set(keys)) == len(keys)
    assert set(schema.CLINICAL_KEYS) == set(keys) - {
        "image",
        "label",
        "original_height",
        "original_width",
    }


@pytest.mark.parametrize(
    ("pathology", "label"), [("normal", 0), ("benign", 2), ("malignant", 3), ("", -1)]
)
def test_label_of(pathology, label):
    assert schema.label_of(pathology) == label


@pytest.mark.parametrize(
    ("dataset", "split", "index", "count", "name"),
    [
        ("cbis_ddsm", "fold0", 0, 8, "cbis_ddsm-fold0.tfrecord-00000-of-00008"),
        ("mini_mias", "test", 12, 13, "mini_mias-test.tfrecord-00012-of-00013"),
    ],
)
def test_shard_names(dataset, split, index, count, name):
    assert schema.shard_name(dataset, split, index, count) == name
    assert schema.fold_name(3) == "fold3"


@pytest.mark.parametrize("version", ["2.0.0", "2.7.3", "2"])
def test_versions_it_reads(version):
    schema.check_schema_version(version, "x")


@pytest.mark.parametrize("version", ["1.1.0", "3.0.0", "0.9", "20.0.0", None, ""])
def test_versions_it_refuses(version):
    with pytest.raises(CallerError, match=rf"^here has schema version {version}, .* convert"):
        schema.check_schema_version(version, "here")
