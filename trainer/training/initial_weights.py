"""Initial weights of a run, from ImageNet or other runs.

Jaamour et al. 2023 name degrees of transfer: alpha takes all weights of another run, beta those of
its head on an ImageNet base, gamma the ImageNet base alone.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Mapping, Sequence

import keras

from flags import column_config
from flags.training_config import TrainingConfig
from records.errors import CallerError
from records.image_size import ImageSize
from trainer.data import run_folder
from trainer.data.side_columns import Names, Numbers
from trainer.model import auxiliary, backbones, network, own_backbone, side_inputs
from trainer.model.backbones import BaseWeights
from trainer.training import fine_tuning


def build(
    config: TrainingConfig,
    size: ImageSize,
    *,
    views: Sequence[str] = (),
    kind: str,
    fractions: Sequence[float],
    side: Mapping[str, Numbers | Names] | None = None,
    also: Mapping[str, Names] | None = None,
) -> tuple[keras.Model, BaseWeights]:
    """Builds the network, takes the weights --init_from gives, and checks --unfreeze_from.

    The arguments are those of `network.build`, and columns as `dataset.Data` has them.

    Raises:
        CallerError: weights can't be had or do not fit, or there is no such layer.
    """

    def build_network(config: TrainingConfig) -> tuple[keras.Model, BaseWeights]:
        model, weights = network.build(config, size, views=views, kind=kind, fractions=fractions)
        if also:
            model = auxiliary.join(model, also, dict(column_config.also_columns(config)))
        return (side_inputs.join(model, side) if side else model), weights

    if config.init_from is None:
        model, weights = build_network(config)
    else:
        source = pathlib.Path(config.init_from)
        chain = read_chain(source)
        own = config
        if config.init_parts != "head":  # the base comes from the run
            own = dataclasses.replace(config, weights="random")
        model, weights = build_network(own)
        _copy(config, own_backbone.load_network(source / "model.keras"), model)
        name = f"{config.init_parts} of {source} ({' -> '.join(chain)})"
        if config.init_parts == "head":
            weights = dataclasses.replace(weights, name=f"{weights.name}, {name}")
        else:
            weights = BaseWeights(name, pretrained=True)
    if config.phase2_epochs:
        fine_tuning.first_trained(model, config)
    return model, weights


def read_chain(run: pathlib.Path) -> list[str]:
    """Lists what a finished run learned from, the first first: weights, then data and target.

    Raises:
        CallerError: the folder holds no finished run.
    """
    if not (run / "model.keras").is_file():
        raise CallerError(
            f"--init_from={run} holds no model.keras; give the folder of a finished run"
        )
    description = run_folder.read_description(run)
    own = f"{description.dataset} {description.target}"
    return [*(description.chain or [description.weights]), own]


def check_apart(config: TrainingConfig, *, dataset: str, evaluated: Sequence[str]) -> None:
    """Makes sure that no run of the chain learned from the images that evaluate this one.

    Goes back along the chain as far as its runs are still there.

    Args:
        config: the run's.
        dataset: name of its data set.
        evaluated: splits on disk that evaluate it.

    Raises:
        CallerError: one did.
    """
    source = config.init_from
    while source is not None and (pathlib.Path(source) / run_folder.RUN).is_file():
        run = pathlib.Path(source)
        description = run_folder.read_description(run)
        if description.dataset == dataset:
            splits = description.splits
            learned = {*splits["train"].folds, *splits["validation"].folds}
            if seen := sorted(learned.intersection(evaluated)):
                raise CallerError(
                    f"--init_from={config.init_from}: {run} learned from {', '.join(seen)} of "
                    f"{dataset}, which evaluates this run; take a run that never saw these "
                    "images, or evaluate others with --test_fold"
                )
        source = run_folder.read_json(run / "config.json")["init_from"]


def _copy(config: TrainingConfig, source: keras.Model, model: keras.Model) -> None:
    """Copies the parts of --init_parts; layers of the head match by name, of the base by place."""
    pairs: list[tuple[keras.layers.Layer, keras.layers.Layer | None]] = []
    if config.init_parts != "base":
        theirs = {layer.name: layer for layer in source.layers}
        pairs += [
            (layer, theirs.get(layer.name))
            for layer in model.layers
            if layer.weights and layer.name != network.BASE_LAYER
        ]
    if config.init_parts != "head":
        mine, found = (_weighted(one) for one in (model, source))
        if len(model.get_layer(network.BASE_LAYER).inputs) == 2 * len(
            source.get_layer(network.BASE_LAYER).inputs
        ):  # both columns of a network of views begin as the one of an image; they alternate
            found = [layer for layer in found for _ in range(2)]
        pairs += [
            (layer, other) for layer, other in itertools.zip_longest(mine, found) if layer or other
        ]
    for layer, other in pairs:
        wanted, given = _shapes(layer), _shapes(other)
        if wanted != given:
            name = layer.name if layer is not None else getattr(other, "name", "")
            raise CallerError(
                f"--init_from={config.init_from} does not fit: layer {name} has weights "
                f"{_describe(given)} there and {_describe(wanted)} here; take a run of the same "
                "base, head, input size and target, or --init_parts=head or base"
            )
        assert other is not None
        layer.set_weights(other.get_weights())


def _weighted(model: keras.Model) -> list[keras.layers.Layer]:
    base = model.get_layer(network.BASE_LAYER)
    return [layer for layer in backbones.layers_of(base) if layer.weights]


def _shapes(layer: keras.layers.Layer | None) -> list[tuple[int, ...]]:
    return [] if layer is None else [tuple(weight.shape) for weight in layer.weights]


def _describe(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in shapes) or "none"
