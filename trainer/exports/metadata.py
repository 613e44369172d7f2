"""What an exported model carries with it: how images are prepared, classes, calibration, threshold.

about = describe(run_dir)
averaged = average(members)      # of several networks, one
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from records import files
from trainer.data import run_folder
from trainer.evaluation import calibration
from trainer.exports import model_card
from trainer.exports.export_json import Metadata

NOTICE = "Research use only, not for diagnosis. model_card.md says what it was trained on."


def describe(source: pathlib.Path) -> Metadata:
    """Describes the network of a run, a cross-validation or an ensemble to its users."""
    run = run_folder.read_description(source)
    members = run_folder.members_of(source, run)
    found = (calibration.read(one) for one in dict.fromkeys((source, *members)))
    fitted = tuple(one for one in found if one is not None)
    return Metadata(
        notice=NOTICE,
        dataset=run.dataset,
        synthetic=run.synthetic,
        size=run.size,
        recipe=run.recipe,
        preparation=run.preparation,
        data_fingerprint=run.data_fingerprint,
        target=run.target,
        kind=run.kind,
        classes=run.label_names,
        output=model_card.meaning_of_output(run),
        networks=len(members),
        calibration=fitted,
        thresholds=tuple(one.threshold for one in fitted),
    )


def average(members: Sequence[pathlib.Path], path: pathlib.Path) -> None:
    """Writes one network whose outputs are the mean of several: model.keras."""
    import keras

    from trainer.model import own_backbone

    models = [own_backbone.load_network(one / "model.keras") for one in members]
    pixels = keras.Input(models[0].input_shape[1:], dtype="uint16", name="pixels")
    for number, model in enumerate(models):
        model.name = f"member{number}"
    outputs = keras.layers.Average()([model(pixels) for model in models])
    with files.replacing(path) as temporary:
        named = temporary.with_suffix(".keras")
        keras.Model(pixels, outputs).save(named)
        named.rename(temporary)
