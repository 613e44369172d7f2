"""Records are byte for byte what TensorFlow's protobuf makes of the same values."""

import dataclasses

import hypothesis
import numpy as np
import tensorflow as tf
from google.protobuf.internal import encoder
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from beam_jobs.sources.source_row import SourceRow
from records import example, schema

IMAGE = SourceRow("f1", "p1", side="left", view="CC", pathology="benign")


def serialize_by_tensorflow(
    image: SourceRow, pixels: np.ndarray, original: tuple[int, int]
) -> bytes:
    """Feature by feature in the order of their keys: upb puts "image_id" before "image"."""
    values = {
        **image.clinical(),
        "image": pixels.tobytes(),
        "label": ["normal", "no cancer", "benign", "malignant", ""].index(image.pathology),
        "original_height": original[0],
        "original_width": original[1],
    }
    if not image.pathology:
        values["label"] = -1
    features = b""
    for key, value in sorted(values.items()):
        message = tf.train.Features()
        if isinstance(value, int):
            message.feature[key].int64_list.value.append(value)
        else:
            content = value if isinstance(value, bytes) else value.encode()
            message.feature[key].bytes_list.value.append(content)
        features += message.SerializeToString()
    return b"\n" + encoder._VarintBytes(len(features)) + features


@hypothesis.settings(deadline=None)
@hypothesis.given(
    pixels=arrays.arrays(np.uint16, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(1))),
    texts=st.lists(st.text(max_size=300), min_size=3, max_size=3),
    numbers=st.tuples(*[st.integers(0, 2**40)] * 3),
    pathology=st.sampled_from(["", *schema.PATHOLOGIES]),
)
def test_bytes_are_those_of_tensorflow(pixels, texts, numbers, pathology):
    image = dataclasses.replace(
        IMAGE,
        pathology=pathology,
        patient_id=texts[0],
        density=texts[1],
        view=texts[2],
        abnormalities=numbers[0],
    )
    assert example.encode(image.clinical(), pixels, numbers[1:]) == serialize_by_tensorflow(
        image, pixels, numbers[1:]
    )


def test_a_big_endian_or_strided_image_is_stored_little_endian_in_rows():
    image = np.arange(60, dtype=np.uint16).reshape(10, 6, 1)
    plain = example.encode(IMAGE.clinical(), image, (1, 1))
    assert example.encode(IMAGE.clinical(), np.asfortranarray(image), (1, 1)) == plain
    wide = np.repeat(image, 2, axis=1)[:, ::2]
    assert example.encode(IMAGE.clinical(), wide, (1, 1)) == plain


def test_every_feature_of_the_schema_is_there():
    record = example.encode(IMAGE.clinical(), np.zeros((4, 3, 1), np.uint16), (1, 1))
    parsed = tf.train.Example.FromString(record).features.feature
    assert set(parsed) == {feature.key for feature in schema.FEATURES}
