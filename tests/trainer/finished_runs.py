"""Run folders with what a comparison reads, from probabilities written by hand."""

import json
import pathlib

from trainer.metrics import compute, predictions
from trainer.metrics.predictions import Prediction

PAPER = {"label_policy": "paper", "split_policy": "image", "leak_policy": "keep"}
OURS = {"label_policy": "any_malignant", "split_policy": "official", "leak_policy": "fail"}


def make_images(answers, labels=None, per_patient=2, first=0):
    """Images in twos of a patient, every second malignant; `answers` are probabilities of that."""
    labels = [number % 2 for number in range(len(answers))] if labels is None else labels
    return [
        Prediction(
            f"image{first + number}",
            f"patient{(first + number) // per_patient}",
            int(label),
            answer if isinstance(answer, float) else 1 - answer[0],
            split="test",
            probabilities=() if isinstance(answer, float) else tuple(answer),
        )
        for number, (answer, label) in enumerate(zip(answers, labels, strict=True))
    ]


def write_run(
    directory: pathlib.Path,
    images: list[Prediction],
    *,
    names=("benign", "malignant"),
    config=None,
    **run: object,
) -> pathlib.Path:
    """Writes a finished run that said this of these images."""
    directory.mkdir(parents=True)
    predictions.write(directory / "predictions.csv", images)
    scores = compute.score(images, split="test", label_names=names, resamples=50)
    description = {
        "synthetic": False,
        "dataset": "cbis_ddsm",
        "size": "512x512",
        "recipe": "plain",
        "target": "pathology",
        "label_names": list(names),
        "policies": OURS,
        "minutes": {"phase1": 2.0, "phase2": 1.25, "evaluation": 0.25},
        **run,
    }
    for name, content in (("metrics", scores), ("run", description), ("config", config)):
        if content is not None:
            (directory / f"{name}.json").write_text(json.dumps(content))
    (directory / "report.html").write_text("report")
    return directory
