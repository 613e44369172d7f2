"""Weights of one run in another, and layers that stay as they are."""

import json
import pathlib

import keras
import numpy as np
import pytest

from flags.training_config import TrainingConfig
from records.errors import CallerError
from records.image_size import ImageSize
from tests import make
from trainer.model import network
from trainer.training import initial_weights

SIZE = ImageSize(64, 48)
BASE = {"alpha": 0.35, "weights": "random"}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> pathlib.Path:
    """A run whose every weight is 0.25."""
    run = tmp_path_factory.mktemp("source")
    model, _ = network.build(TrainingConfig(**BASE), SIZE)
    for variable in model.weights:
        if "seed" not in variable.name:
            variable.assign(np.full(variable.shape, 0.25, np.float32))
    model.save(run / "model.keras")
    make.write_described(run, dataset="mini_mias", target="abnormal")
    return run


def build(config: TrainingConfig, size: ImageSize = SIZE):
    return initial_weights.build(config, size, kind="binary", fractions=(0.5, 0.5))


def taken(layer: keras.layers.Layer) -> bool:
    """Says whether all weights of a layer are those of the source; mixtures are an error."""
    same = {bool((weight == 0.25).all()) for weight in layer.get_weights()}
    assert len(same) == 1
    return same.pop()


@pytest.mark.parametrize(
    ("parts", "base", "head"),
    [("all", True, True), ("head", False, True), ("base", True, False)],
)
def test_parts(source, parts, base, head):
    config = TrainingConfig(**BASE, init_from=str(source), init_parts=parts)
    model, weights = build(config)
    inner = model.get_layer(network.BASE_LAYER)
    assert {taken(layer) for layer in inner.layers if layer.weights} == {base}
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert len(dense) == 3
    assert {taken(layer) for layer in dense} == {head}
    assert weights.pretrained == base
    assert weights.name.endswith(f"{parts} of {source} (ImageNet -> mini_mias abnormal)")


def test_a_chain_grows(source, tmp_path):
    assert initial_weights.read_chain(source) == ["ImageNet", "mini_mias abnormal"]
    (tmp_path / "model.keras").touch()
    chain = initial_weights.read_chain(source)
    make.write_described(tmp_path, weights="all of somewhere", chain=chain)
    assert initial_weights.read_chain(tmp_path) == [
        "ImageNet",
        "mini_mias abnormal",
        "cbis_ddsm pathology",
    ]


def write_run(folder: pathlib.Path, *, dataset: str, train: list[str], init_from=None) -> str:
    folder.mkdir()
    split = {"images": 1, "patients": 1, "labels": {}, "left_out": 0}
    splits = {"train": {**split, "folds": train}, "validation": {**split, "folds": ["fold0"]}}
    make.write_described(folder, dataset=dataset, splits=splits)
    (folder / "config.json").write_text(json.dumps({"init_from": init_from}))
    return str(folder)


def test_a_run_that_learned_from_the_evaluated_images_is_refused(tmp_path):
    first = write_run(tmp_path / "first", dataset="mini_mias", train=["fold1", "fold2"])
    second = write_run(tmp_path / "second", dataset="phantom", train=["fold1"], init_from=first)
    last = TrainingConfig(init_from=second)
    for evaluated in ("fold0", "fold2"):  # one validated it
        with pytest.raises(
            CallerError,
            match=rf"second: .*first learned from {evaluated} of mini_mias, which evaluates",
        ):
            initial_weights.check_apart(last, dataset="mini_mias", evaluated=[evaluated])
    initial_weights.check_apart(last, dataset="mini_mias", evaluated=["test"])
    initial_weights.check_apart(last, dataset="cbis_ddsm", evaluated=["fold1"])
    pathlib.Path(first, "run.json").unlink()
    initial_weights.check_apart(last, dataset="mini_mias", evaluated=["fold2"])


def test_the_run_must_be_finished(tmp_path):
    config = TrainingConfig(**BASE, init_from=str(tmp_path))
    with pytest.raises(CallerError, match=r"--init_from=.* holds no model.keras; give the folder"):
        build(config)


@pytest.mark.parametrize(
    ("changes", "size", "message"),
    [
        ({"alpha": 0.5}, SIZE, r"layer block_1_project has weights 1x1x48x8 there and 1x1x48x16"),
        ({"alpha": 0.5, "init_parts": "base"}, SIZE, r"layer block_1_project has weights 1x1x48x8"),
        (
            {"base": "resnet50", "alpha": 1.0},
            SIZE,
            r"layer dense_512 has weights 1280x512, 512 there",
        ),
        ({"head": "flatten"}, SIZE, r"there and 5120x512, 512 here"),
    ],
    ids=["alpha", "base", "other base", "head"],
)
def test_misfits_name_the_layer(source, changes, size, message):
    config = TrainingConfig(**{**BASE, "init_from": str(source), **changes})
    with pytest.raises(CallerError, match=message):
        build(config, size)


def test_an_unknown_layer_is_refused_before_training():
    config = TrainingConfig(**BASE, unfreeze_from="block_13_expnd")
    with pytest.raises(
        CallerError, match=r"block_13_expnd is no layer of mobilenetv2; did you mean block_13_expa"
    ):
        build(config)
