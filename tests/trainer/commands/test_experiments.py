"""Every published experiment: the network its flagfile asks for, and one step of its training."""

import dataclasses
import gc
import math
import pathlib
import re

import keras
import numpy as np
import pytest

from flags.fields import from_flags
from flags.training_config import TrainingConfig
from records import memory, schema
from records.image_size import ImageSize
from tests import make
from trainer.commands import experiments
from trainer.data import class_balance, dataset, input_pipeline
from trainer.model import network

ROOT = pathlib.Path(__file__).parents[3]
EXPERIMENTS = ROOT / "flags" / "experiments"
NAMES = ("baseline", *"abcdefghijklmnopqrstuv", "best_practice")

STATE_OF_THE_ART = sorted((ROOT / "flags" / "state_of_the_art").glob("*.flags"))

# The table of Jaamour et al. 2023 (accuracy in %, source), None where there is no figure
PUBLISHED = {
    "baseline": (61.80, "S"),
    "a": (63.18, "D"),
    "b": (67.08, "S"),
    "c": (66.46, "S"),
    "d": (63.23, "S"),
    "e": (63.12, "S"),
    "f": (62.56, "D"),
    "g": (61.62, "D"),
    "h": (67.40, "S"),
    "i": (65.05, "S"),
    "j": None,
    "k": (64.59, "S"),
    "l": (64.35, "S"),
    "m": (66.67, "S"),
    "n": (60.80, "S"),
    "o": (65.50, "S"),
    "p": (64.40, "S"),
    "q": (62.60, "S"),
    "r": (62.4, "P"),
    "s": None,
    "t": (64.74, "D"),
    "u": (62.71, "D"),
    "v": (61.00, "D"),
    "best_practice": None,
}


def conv(kernel: int, channels: int, filters: int) -> int:
    """Weights and biases of a square convolution."""
    return kernel * kernel * channels * filters + filters


def dense(units_in: int, units_out: int) -> int:
    return units_in * units_out + units_out


def mlp(features: int) -> int:
    """Dense 512, Dense 32, Dense 1."""
    return dense(features, 512) + dense(512, 32) + dense(32, 1)


# Published counts with the top of 1000 classes (table of keras.io/api/applications and the
# networks' papers), less that top
MOBILENET_V2 = 3_538_984 - dense(1280, 1000)
DENSENET_121 = 8_062_504 - dense(1024, 1000)
INCEPTION_V3 = 23_851_784 - dense(2048, 1000)
RESNET_50 = 25_636_712 - dense(2048, 1000)
EFFICIENTNET_B0 = 5_330_571 - dense(1280, 1000)
VGG_19 = 143_667_240 - dense(7 * 7 * 512, 4096) - dense(4096, 4096) - dense(4096, 1000)
# Note zeta, on three equal channels; a new convolution takes the place of VGG19's first
ONE_SET = conv(5, 3, 64) + conv(5, 64, 32) + conv(3, 32, 64)
TWO_SETS = conv(7, 3, 16) + conv(7, 16, 16) + conv(5, 16, 32) + conv(5, 32, 32) + conv(3, 32, 64)
VGG_19_REST = VGG_19 - conv(3, 3, 64)

# These bases halve the image five times, 512 -> 16; InceptionV3 has no padding in its first layers:
# 512, 255, 253, 126, 124, 61, 30, 14
VGG_19_AT_512 = VGG_19 + mlp(16 * 16 * 512)
MOBILENET_V2_AT_512 = MOBILENET_V2 + mlp(16 * 16 * 1280)
TWO_SETS_AT_2048 = TWO_SETS + VGG_19_REST + mlp(16 * 16 * 512)  # 2048 / 4 = 512
COUNTS = {
    **dict.fromkeys(("baseline", "k", "l", "m"), VGG_19_AT_512),
    **dict.fromkeys("abcdeghi", MOBILENET_V2_AT_512),
    "f": MOBILENET_V2 + mlp(7 * 7 * 1280),
    "j": MOBILENET_V2 + mlp(32 * 32 * 1280),
    "n": ONE_SET + VGG_19_REST + mlp(16 * 16 * 512),  # 1024 / 2 = 512
    **dict.fromkeys("opqr", TWO_SETS_AT_2048),
    "s": TWO_SETS + VGG_19_REST + mlp(16 * 10 * 512),  # 2048x1376 / 4 = 512x344; 344 / 32 = 10.75
    "t": DENSENET_121 + mlp(16 * 16 * 1024),
    "u": INCEPTION_V3 + mlp(14 * 14 * 2048),
    "v": RESNET_50 + mlp(16 * 16 * 2048),
    "best_practice": EFFICIENTNET_B0 + mlp(1280),
}


def read_config(parse_flags, name: str) -> TrainingConfig:
    path = EXPERIMENTS / f"{name}.flags"
    return from_flags(TrainingConfig, parse_flags(TrainingConfig, f"--flagfile={path}"))


def size_of(config: TrainingConfig) -> ImageSize:
    assert config.dataset_dir is not None
    return ImageSize.parse(pathlib.Path(config.dataset_dir).parent.name)


def test_there_is_a_flagfile_for_each():
    found = {path.stem for path in EXPERIMENTS.glob("*.flags")}
    assert found == {*NAMES, "mini_mias", "demo", "demo_records"}
    assert set(COUNTS) == set(PUBLISHED) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_head_comments_state_the_published_figure(name):
    text = (EXPERIMENTS / f"{name}.flags").read_text()
    said = re.findall(r"^# Published accuracy: (?:none|([\d.]+) % \(([SDPI])\))$", text, re.M)
    assert len(said) == 1
    expected = PUBLISHED[name]
    assert said[0] == (("", "") if expected is None else (said[0][0], expected[1]))
    if expected is not None:
        assert float(said[0][0]) == expected[0]
    assert re.search(r"^# Records: ", text, re.M)
    if name != "best_practice":
        assert "Inferred (I): " in text


@pytest.mark.parametrize(("name", "parts"), [("a", "all"), ("b", "head")])
def test_transfer_starts_from_the_run_of_mini_mias_whose_layers_fit(name, parts, parse_flags):
    config = read_config(parse_flags, name)
    source = read_config(parse_flags, "mini_mias")
    assert (config.init_from, config.init_parts) == (source.run_dir, parts)
    assert size_of(config) == size_of(source)
    for field in ("base", "alpha", "head", "hidden", "downsample_sets", "conv_after"):
        assert getattr(config, field) == getattr(source, field)


def test_the_command_line_overrides_a_flagfile(parse_flags):
    said = [f"--flagfile={EXPERIMENTS / 'h.flags'}", "--batch_size=4", "--head=gap"]
    config = from_flags(TrainingConfig, parse_flags(TrainingConfig, *said))
    expected = dataclasses.replace(read_config(parse_flags, "h"), batch_size=4, head="gap")
    assert config == expected
    assert read_config(parse_flags, "h").batch_size == 2


@pytest.mark.parametrize("name", NAMES)
def test_number_of_parameters_at_the_published_size(name, parse_flags, monkeypatch):
    """Builds the real network at its real size, without memory for its weights.

    In Keras's StatelessScope variables have a shape but no value. So the graph is the one that is
    trained, every shape in it is inferred by the layers themselves, and the 671 million weights of
    experiment J take no memory; that they would not fit must not end the count either.
    """
    monkeypatch.setattr(memory, "available", lambda: 2**62)
    config = dataclasses.replace(read_config(parse_flags, name), weights="random")
    size = size_of(config)
    with keras.StatelessScope(initialize_variables=False):
        model, _ = network.build(config, size)
        assert model.input_shape == (None, size.height, size.width, 1)
        assert model.output_shape == (None, 1)
        assert model.count_params() == COUNTS[name]
        network.freeze_base(model)
        learned = sum(math.prod(v.shape) for v in model.trainable_variables)
        base = model.get_layer(network.BASE_LAYER).count_params()
        assert learned == COUNTS[name] - base
    del model
    keras.utils.clear_session()  # or the next scope would give them values
    gc.collect()


@pytest.mark.parametrize("path", STATE_OF_THE_ART, ids=lambda path: path.stem)
def test_a_published_recipe_can_be_built_and_says_whose_it_is(path, parse_flags):
    text = path.read_text()
    assert "# Published: " in text
    assert re.search(r"^# Records: make tfrecords DATASET=cbis_ddsm SIZE=1152x896 ", text, re.M)
    if "_leak" not in path.stem:
        assert all(
            f"# {word}" in text for word in ("Protocol: ", "Differs: ", "Hours and hardware: ")
        )
    parsed = from_flags(TrainingConfig, parse_flags(TrainingConfig, f"--flagfile={path}"))
    config = dataclasses.replace(parsed, weights="random", init_from=None, init_parts="all")
    assert ("leak_kept" in config.dataset_dir) == ("_leak" in path.stem)
    breasts = config.dataset_dir.endswith("-breast")
    assert breasts == (config.views != "auto")
    views = schema.VIEWS["breast" if breasts else "image"]
    with keras.StatelessScope(initialize_variables=False):
        model, _ = network.build(config, size_of(config), views=views)
        assert model.output_shape == (None, 1)
    keras.utils.clear_session()
    gc.collect()


def test_the_published_recipes_begin_with_those_they_start_from(tmp_path):
    flagfiles = {path.stem: path for path in STATE_OF_THE_ART}
    names = experiments.choose(flagfiles, [])
    assert set(names) == set(flagfiles)
    for name, source in (("petrini_two_views", "petrini_single"),):
        for suffix in ("", "_leak"):
            assert names.index(source + suffix) < names.index(name + suffix)
            given = experiments.flags_of(name + suffix, flagfiles, tmp_path)
            assert given[-1] == f"--init_from={tmp_path / (source + suffix)}"


def test_totals_in_figures():
    """The formulas above, multiplied out by hand."""
    assert VGG_19 == 20_024_384
    assert MOBILENET_V2 == 2_257_984
    assert DENSENET_121 == 7_037_504
    assert INCEPTION_V3 == 21_802_784
    assert RESNET_50 == 23_587_712
    assert EFFICIENTNET_B0 == 4_049_571
    assert ONE_SET == 4_864 + 51_232 + 18_496
    assert TWO_SETS == 2_368 + 12_560 + 12_832 + 25_632 + 18_496
    assert COUNTS["baseline"] == 87_150_209
    assert COUNTS["h"] == 170_047_105
    assert COUNTS["j"] == 673_363_585
    assert COUNTS["n"] == 87_223_009
    assert COUNTS["o"] == 87_220_305
    assert COUNTS["s"] == 62_054_481
    assert COUNTS["v"] == 292_040_129


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory) -> pathlib.Path:
    """Records of 60 phantoms at two small sizes, in two folds."""
    root = tmp_path_factory.mktemp("phantoms")
    command = ["--dataset=phantom", "--recipe=plain"]
    command += [f"--data_dir={root / 'images'}", f"--output_dir={root / 'out'}", "--folds=2"]
    command += ["--phantom_images=60", "--phantom_size=2056x640", "--sizes=96x80,128x136"]
    run = make.program("beam_jobs.tfrecords", *command, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    return root / "out" / "phantom"


def scale_down(config: TrainingConfig, phantoms: pathlib.Path) -> TrainingConfig:
    """The same network and training on small images; what depends on the size stays as it was."""
    sets = network.downsample_sets(config, size_of(config))
    return dataclasses.replace(
        config,
        # VGG19 takes 32x32 and more, after two sets 128x128
        dataset_dir=str(phantoms / ("128x136" if sets == 2 else "96x80") / "plain"),
        downsample_sets=str(sets),
        weights="random",
        alpha=0.35 if config.base == "mobilenetv2" else 1.0,
        init_from=None,
        init_parts="all",
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMES, "mini_mias"])
def test_one_step_on_phantoms(name, parse_flags, phantoms):
    """Phase 1, eager to save tracing: the loss is a number, the head learns, the base does not."""
    keras.utils.set_random_seed(0)
    config = scale_down(read_config(parse_flags, name), phantoms)
    data = dataset.open_data(config)
    batches = input_pipeline.evaluation_batches(
        data.train, data.target, data.records.size, batch_size=config.batch_size
    )
    images, labels = next(batches.as_numpy_iterator())
    classes = data.train.labels
    weights = class_balance.choose_class_weights(config, classes, data.target)
    fractions = class_balance.weighted_fractions(config, classes, weights)
    model, _ = network.build(config, data.records.size, fractions=fractions)
    network.freeze_base(model)
    base = model.get_layer(network.BASE_LAYER)
    frozen = values(base.weights)
    before = values(model.trainable_variables)
    model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", run_eagerly=True)
    assert np.isfinite(model.train_on_batch(images, labels))
    changed = [
        not np.array_equal(old, new)
        for old, new in zip(before, values(model.trainable_variables), strict=True)
    ]
    # a bias may stay where it is, where ReLUs are dead or the errors of a batch add up to 0
    assert np.mean(changed) >= 0.5
    for old, new in zip(frozen, values(base.weights), strict=True):
        np.testing.assert_array_equal(old, new)


def values(variables) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]
