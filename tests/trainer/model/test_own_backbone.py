"""A base of one's own: found, called, checked, trained, opened again."""

import json
import pathlib

import keras
import numpy as np
import pytest

from flags.network_config import Network
from flags.training_config import TrainingConfig
from records.errors import CallerError
from records.image_size import ImageSize
from trainer.commands import train
from trainer.heat_maps.heat_map import HeatMapper
from trainer.model import backbones, network, own_backbone
from trainer.training import fine_tuning

SIZE = ImageSize(64, 48)
HEAD = "import keras\nfrom keras import layers\n\ndef build(height, width, weights):\n"
PLAIN = """
    image = layers.Input((None, None, 3))
    x = layers.Conv2D(8, 3, 2, "same", use_bias=False, name="first")(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    inner = keras.Sequential([layers.Input(x.shape[1:]), layers.Conv2D(9, 3, 2, name="second")])
    model = keras.Model(image, layers.BatchNormalization()(inner(x)))
    if weights:
        model.load_weights(weights)
    return model
"""
CUSTOM = """
@keras.saving.register_keras_serializable("mine")
class Half(layers.Layer):
    def call(self, x):
        return x / 2

def build(height, width, weights):
    image = layers.Input((height, width, 3))
    return keras.Model(image, Half()(layers.Conv2D(8, 3, 4)(image)))
"""


@pytest.fixture
def write(tmp_path):
    """`write(text)` makes net.py and names its function build."""

    def to_file(text: str) -> str:
        (tmp_path / "net.py").write_text(text)
        return f"{tmp_path}/net.py:build"

    return to_file


def config(base: str, **options) -> TrainingConfig:
    given = {"base": base, "input_range": "-1:1", "weights": "random", **options}
    return TrainingConfig(**given)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("-1:1", (-1, 1)), ("0:1", (0, 1)), ("0:255", (0, 255)), ("-0.992:1", (-0.992, 1))],
)
def test_black_and_white_become_the_ends_of_the_range(given, wanted):
    factor, offset = backbones.scaling(Network(base="a.b:c", input_range=given))
    assert (offset[0], factor[0] + offset[0]) == pytest.approx(wanted)


def test_the_range_imagenet_is_that_of_torch():
    pixels = np.full((1, 1, 1, 3), 200, np.float32)
    factor, offset = backbones.scaling(Network(base="a.b:c", input_range="imagenet"))
    wanted = keras.applications.densenet.preprocess_input(pixels.copy())
    np.testing.assert_allclose(pixels / 255 * factor + offset, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base": "net.py"}, r"--base=net.py is neither .* nor FILE.py:FUNCTION or package"),
        ({"base": "net.py:"}, r"name the function behind a colon"),
        ({"base": "a-b:c"}, r"name the function behind a colon"),
        ({"base": "a.b:c"}, r"--base=a.b:c needs --input_range: -1:1, 0:1, 0:255 or"),
        ({"input_range": "0:1"}, r"mobilenetv2 has a range of its own; leave out --input_range"),
        ({"base": "a.b:c", "input_range": "1:0"}, r"--input_range=1:0 is not -1:1, 0:1"),
        ({"base": "a.b:c", "input_range": "tf"}, r"--input_range=tf is not -1:1, 0:1"),
        ({"base": "a.b:c", "input_range": "0:1", "alpha": 0.5}, r"a.b:c has one width"),
        (
            {"base": "a.b:c", "input_range": "0:1", "input_scaling": "paper"},
            r"--input_scaling=paper does not go with",
        ),
    ],
)
def test_flags_that_contradict_each_other_are_refused(changes, message):
    with pytest.raises(CallerError, match=message):
        TrainingConfig(**changes)


IMAGE = "    image = layers.Input((height, width, 3))\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def other(height): pass", r"net.py has no function build; it has other$"),
        ("x = 1", r"has no function build; it has none at all$"),
        ("x = (", r": SyntaxError in line 1: "),
        ("import nowhere_at_all", r": ModuleNotFoundError in line 1: No module named 'nowhere_"),
        ("def build(height): pass", r"can't be called with \(height, width, weights\): too many"),
        (HEAD + "    return 1", r"gave 1, wanted a model of features; return keras.Model"),
        (HEAD + "    x = 1\n    raise KeyError('gone')", r": KeyError in line 6: 'gone'$"),
        (HEAD + "    raise SystemExit(3)", r": SystemExit in line 5: 3$"),
        (HEAD + IMAGE + "    return keras.Model(image, layers.Flatten()(image))", r"gave features"),
        (HEAD + IMAGE + "    return keras.Model(image, [image, image])", r"wanted one map"),
        (HEAD + "    return keras.Model()", r"wanted a model of features"),
        (
            HEAD + IMAGE + "    return keras.Model(image, layers.Lambda(lambda x: x)(image))",
            r": ValueError: .*[Ll]ambda",
        ),
        (
            HEAD + "    image = layers.Input((32, 32, 3))\n    return keras.Model(image, image)",
            r"takes \[\(None, 32, 32, 3\)\], wanted \(None, 64, 48, 3\); use height, width",
        ),
        (
            HEAD
            + "    image = layers.Input((height, width, 1))\n    return keras.Model(image, image)",
            r"wanted \(None, 64, 48, 3\); use height, width, 3 channels$",
        ),
        (
            CUSTOM.replace('@keras.saving.register_keras_serializable("mine")', HEAD[:38]),
            r": TypeError: Could not locate class 'Half'\. Make sure custom classes .*register_",
        ),
    ],
)
def test_a_function_that_makes_no_features_is_named_in_one_line(write, text, message):
    with pytest.raises(CallerError, match=message) as caught:
        backbones.build(config(write(text)), SIZE)
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_refused():
    for base, message in (
        ("gone/net.py:build", r"gone/net.py is not a file; give FILE.py:FUNCTION$"),
        ("nowhere_at_all:build", r"no module nowhere_at_all is installed or in this folder"),
        ("nowhere_at_all.net:build", r"nowhere_at_all.net can't be imported \(ModuleNotFound"),
    ):
        with pytest.raises(CallerError, match=message):
            own_backbone.build(config(base), SIZE)


def test_the_weights_go_to_the_function_and_are_looked_for(write, tmp_path):
    base = write(HEAD + PLAIN)
    saved, found = backbones.build(config(base), SIZE)
    assert (found.pretrained, found.warning) == (False, None)
    path = str(tmp_path / "a.weights.h5")
    saved.save_weights(path)
    loaded, found = backbones.build(config(base, weights=path), SIZE)
    assert found == backbones.BaseWeights("a.weights.h5", pretrained=True)
    for one, other in zip(saved.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (
        "starts from RANDOM weights"
        in backbones.build(config(base, weights="auto"), SIZE)[1].warning
    )
    forgets = "inner.build(x.shape)\n    inner.set_weights([w + 1 for w in inner.get_weights()])"
    partly = write((HEAD + PLAIN).replace("    return", f"    {forgets}\n    return"))
    found = backbones.build(config(partly, weights=path), SIZE)[1]
    assert found.warning == f"1 of 2 arrays of the base are those of {path}"
    ignores = write((HEAD + PLAIN).replace("if weights", "if False"))
    with pytest.raises(
        CallerError, match=r"has no array of --weights=.*a.weights.h5; load the file"
    ):
        backbones.build(config(ignores, weights=path), SIZE)
    with pytest.raises(CallerError, match=r"none.h5 is not a file; give a .weights.h5"):
        backbones.build(config(base, weights="none.h5"), SIZE)


def test_a_module_is_a_door_too(monkeypatch, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "net.py").write_text(HEAD + PLAIN)
    monkeypatch.syspath_prepend(tmp_path)
    model, _ = network.build(config("mine.net:build"), SIZE)
    assert model.name == "net.build"


def test_layers_of_a_model_within_the_base_are_its_own(write):
    given = config(write(HEAD + PLAIN), unfreeze_from="second", layer_decay=0.5)
    model, _ = network.build(given, SIZE)
    base = model.get_layer("base")
    assert base.output.shape == (None, 15, 11, 9)
    names = [layer.name for layer in backbones.layers_of(base)]
    assert names.index("first") < names.index("second")
    network.freeze_base(model)
    assert not base.trainable_variables
    fine_tuning.unfreeze(model, given)
    assert next(v.path.split("/")[-2] for v in base.trainable_variables) == "second"
    fractions = [fraction for _, fraction in fine_tuning.rates(model, 0.5)]
    assert fractions == sorted(fractions)
    assert len(set(fractions)) > 1


def test_a_run_is_trained_resumed_refused_and_opened_again(write, records_dir, tmp_path):
    base = write(HEAD.replace("\ndef build(height, width, weights):\n", "") + CUSTOM)
    options = {"dataset_dir": str(records_dir), "run_dir": str(tmp_path / "run"), "hidden": "none"}
    given = config(base, phase1_epochs=1, phase2_epochs=1, **options)
    run = train.train(given)
    about = json.loads((run / "run.json").read_text())
    assert len(about["base_source"]) == 16
    assert "net.build" in (run / "report.html").read_text()
    model = own_backbone.load_network(run / "model.keras")
    image = np.random.default_rng(0).integers(0, 65536, (1, 64, 48, 1), dtype=np.uint16)
    assert HeatMapper(model, "binary").draw(image).shape == (1, 64, 48)
    assert train.train(given) == run
    with pathlib.Path(base.partition(":")[0]).open("a") as file:
        file.write("# changed")
    with pytest.raises(CallerError, match=r"run with other base_source \(\w+, now \w+\); give"):
        train.train(given)
    keras.saving.get_custom_objects().clear()
    with pytest.raises(
        CallerError,
        match=r"net.py:build as it was, and it has changed since: Could not locate class 'Half'",
    ):
        own_backbone.load_network(run / "model.keras")


def test_a_network_of_keras_layers_needs_no_file(write, tmp_path):
    model, _ = network.build(config(write(HEAD + PLAIN)), SIZE)
    model.save(tmp_path / "model.keras")
    (tmp_path / "net.py").unlink()
    assert (
        own_backbone.load_network(tmp_path / "model.keras").count_params() == model.count_params()
    )


@pytest.fixture(scope="module")
def lite(shared_data) -> TrainingConfig:
    """EfficientNet-Lite0, no base of keras.applications, with its ImageNet weights."""
    weights = shared_data / "weights" / "efficientnet_lite0_imagenet_no_top.weights.h5"
    source = shared_data.parent / "tools" / "efficientnet_lite.py"
    if not source.is_file():
        pytest.skip(f"there is no {source}")
    return config(f"{source}:build", input_range="-0.9921875:1", weights=str(weights))


def test_efficientnet_lite_with_its_imagenet_weights(lite):
    model, found = network.build(lite, SIZE)
    assert found == backbones.BaseWeights(pathlib.Path(lite.weights).name, pretrained=True)
    assert model.name == "efficientnet_lite.build"
    inner = model.get_layer("base")
    pixels = np.random.default_rng(0).integers(0, 65536, (2, 64, 48, 1), dtype=np.uint16)
    range_ = keras.Model(model.inputs[0], model.get_layer("to_base_range").output)(pixels)
    np.testing.assert_allclose(range_[..., :1], (pixels / 257 - 127) / 128, atol=2e-2)
    chosen = fine_tuning.choose_batch_norm(lite, model, pretrained=True, devices=1, batches=50)
    assert (chosen.learns, chosen.momentum) == (True, 0.912)
    network.freeze_base(model)
    assert not inner.trainable_variables
    last = TrainingConfig(**{**vars(lite), "unfreeze_from": "head_conv"})
    fine_tuning.unfreeze(model, last, chosen)
    assert {v.path.split("/")[-2] for v in inner.trainable_variables} == {"head_conv", "head_bn"}
    network.freeze_base(model)
    fine_tuning.unfreeze(model, lite, chosen)
    rates = {v.path.split("/")[-2]: rate for v, rate in fine_tuning.rates(model, 0.1)}
    assert rates["stem_conv"] == pytest.approx(0.1)
    assert rates["stem_conv"] < rates["block7_dw_conv"] < rates["head_bn"] < 1
    heat = HeatMapper(model, "binary", method="hirescam").draw(pixels, [1, 1])
    assert heat.max() == 1
