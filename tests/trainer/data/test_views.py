"""Records of breasts and examinations in the trainer: pixels, masks, ids, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from flags import targets
from flags.training_config import TrainingConfig
from records.errors import CallerError
from tests import make
from trainer.data import dataset, input_pipeline
from trainer.data.records_folder import open_records
from trainer.metrics import predictions

TARGET = targets.TARGETS["pathology"]
FOLDS = [f"fold{fold}" for fold in range(4)]


@pytest.fixture(scope="module", params=["breast", "exam"])
def made(request, tmp_path_factory):
    return make.records(tmp_path_factory.mktemp(request.param), unit=request.param)


@pytest.fixture(scope="module")
def singles(made_records):
    """Image id -> pixels, of records of images."""
    split = dataset.select(open_records(made_records.directory), "train", FOLDS, TARGET)
    return {
        name.decode(): image
        for images, _, row, *_ in batches_of(made_records, split)
        for name, image in zip(row["image_id"], images, strict=True)
    }


def batches_of(made, split):
    size = made.config.sizes[0]
    return list(
        input_pipeline.described_batches(split, TARGET, size, batch_size=4).as_numpy_iterator()
    )


WHOLE = " or ".join(f"view == '{view}'" for view in ("CC+MLO", "L-CC+L-MLO", "R-CC+R-MLO"))


@pytest.mark.parametrize("where", ["", WHOLE], ids=["all", "both views"])
def test_batches_hold_every_view_with_the_pixels_of_its_image(made, singles, where):
    records = open_records(made.directory, condition=where)
    split = dataset.select(records, "train", FOLDS, TARGET)
    views = split.views
    assert views == len(records.manifest.views)
    names, masks = [], []
    for inputs, labels, row, *_ in batches_of(made, split):
        pixels, present = inputs["pixels"], inputs["views_present"]
        assert pixels.shape == (len(labels), views, 24, 16, 1)
        assert (pixels.dtype, present.dtype) == (np.uint16, bool)
        masks += present.tolist()
        for record, (held, text) in enumerate(zip(present, row["image_ids"], strict=True)):
            ids = text.decode().split(";")
            assert [bool(name) for name in ids] == held.tolist()
            for view, name in enumerate(ids):
                wanted = singles[name] if name else 0
                np.testing.assert_array_equal(pixels[record, view], wanted)
        names += [name.decode() for name in row["image_id"]]
    assert sorted(names) == sorted(image["image_id"] for image in split.images)
    assert (len({sum(mask) for mask in masks}) > 1) == (not where)


def test_an_epoch_of_training_is_that_of_evaluation_in_another_order(made):
    split = dataset.select(open_records(made.directory), "train", FOLDS, TARGET)
    size = made.config.sizes[0]
    epoch = input_pipeline.training_batches(
        split, TARGET, size, batch_size=4, seed=1, first_epoch=0, last_epoch=1, cache=True
    )
    whole = input_pipeline.evaluation_batches(split, TARGET, size, batch_size=4)
    seen, wanted = (
        sorted(
            (pixels.tobytes(), tuple(held), float(label))
            for inputs, labels in batches.as_numpy_iterator()
            for pixels, held, (label,) in zip(*inputs.values(), labels, strict=True)
        )
        for batches in (epoch, whole)
    )
    assert seen == wanted


def test_images_of_a_split_are_its_views_that_are_there(made, singles):
    split = dataset.select(open_records(made.directory), "train", FOLDS, TARGET)
    images, owners = [], []
    for pixels, sizes, patients in input_pipeline.image_batches(
        split, made.config.sizes[0], batch_size=4
    ).as_numpy_iterator():
        assert sizes.min() > 0
        assert len(pixels) == len(sizes) == len(patients)
        images += [image.tobytes() for image in pixels]
        owners += patients.tolist()
    ids = [name for one in split.images for name in one["image_ids"].split(";") if name]
    assert sorted(images) == sorted(singles[name].tobytes() for name in ids)
    assert len(set(owners)) == len({one["patient_id"] for one in split.images})


def test_a_network_takes_records_of_its_own_unit(made, made_records):
    assert dataset.open_data(TrainingConfig(dataset_dir=str(made.directory))).train.views
    config = TrainingConfig(dataset_dir=str(made_records.directory), views="concat")
    with pytest.raises(CallerError, match=r"^--views=concat: .* one image a record; convert with"):
        dataset.open_data(config)


def test_predictions_of_breasts_name_their_images(tmp_path):
    one = predictions.Prediction(
        "p1_LEFT", "p1", 1, image_ids="a;", probabilities=predictions.two_classes(0.25)
    )
    path = tmp_path / "predictions.csv"
    predictions.write(path, [one])
    assert path.read_text().splitlines()[0].endswith(",threshold,image_ids")
    assert predictions.read(path) == [one]
    predictions.write(path, make.predicted([0.5, 0.25]))
    assert path.read_text().splitlines()[0].endswith(",threshold")
