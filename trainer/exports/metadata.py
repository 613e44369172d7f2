"""What an exported model carries with it: how images are prepared, classes, calibration, threshold.

about = describe(run_dir)
averaged = average(members)      # of several networks, one
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

from records import files
from trainer.data import run_folder
from trainer.exports import model_card
from trainer.metrics import typed_json

NOTICE = "Research use only, not for diagnosis. model_card.md says what it was trained on."
_OF_THE_RUN = (
    "dataset",
    "synthetic",
    "size",
    "recipe",
    "preparation",
    "data_fingerprint",
    "target",
    "kind",
)


def describe(source: pathlib.Path) -> dict[str, Any]:
    """Says what who uses the network needs to know beside its weights.

    Calibration is that of the average where there is one, else of each network; outputs are not
    calibrated, so that they are those of model.keras.

    Args:
        source: folder of a finished run, a cross-validation or an ensemble.
    """
    run = run_folder.read_description(source)
    stated, members = typed_json.to_json(run), run_folder.members_of(source, run)
    folders = dict.fromkeys((source, *members))
    fitted = [content for one in folders if (content := model_card.read(one / "calibration.json"))]
    return {
        "notice": NOTICE,
        **{key: stated[key] for key in _OF_THE_RUN if key in stated},
        "classes": stated["label_names"],
        "output": model_card.meaning_of_output(run),
        "networks": len(members),
        "calibration": fitted,
        "thresholds": [content["threshold"] for content in fitted],
    }


def average(members: Sequence[pathlib.Path], path: pathlib.Path) -> None:
    """Writes one network whose outputs are the mean of several: model.keras.

    Args:
        members: run folders of one network each.
        path: of the network.
    """
    import keras

    models = [keras.models.load_model(one / "model.keras", compile=False) for one in members]
    pixels = keras.Input(models[0].input_shape[1:], dtype="uint16", name="pixels")
    for number, model in enumerate(models):
        model.name = f"member{number}"
    outputs = keras.layers.Average()([model(pixels) for model in models])
    with files.replacing(path) as temporary:
        named = temporary.with_suffix(".keras")
        keras.Model(pixels, outputs).save(named)
        named.rename(temporary)
