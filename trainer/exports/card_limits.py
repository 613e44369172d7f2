"""What a model card must warn of, as the files of the run show it."""

from __future__ import annotations

from flags import tta_config
from records.printable import counted
from trainer.data.run_json import RunDescription
from trainer.exports import card_scores
from trainer.metrics.metrics_json import Metrics

_SCREENED = ("pathology", "cancer")


def list_limits(run: RunDescription, scores: Metrics | None) -> list[str]:
    """Writes a sentence for each limit that the files of a run show.

    Args:
        run: content of run.json.
        scores: content of metrics.json, None if the run was not evaluated.
    """
    return [
        *_of_data(run),
        *(_of_scores(run, scores) if scores else ["It has not been evaluated on any image."]),
    ]


def _of_data(run: RunDescription) -> list[str]:
    learned = run.splits.get("train") or next(iter(run.splits.values()))  # else of all folds
    found = [
        f"It learned from {counted(learned.images, 'images')} of "
        f"{counted(learned.patients, 'patients')} of one source, {run.dataset_title}. "
        "Other devices, film instead of digital or the reverse, and other populations are "
        "untested.",
        f"It takes whole images of {run.size} (height x width), prepared by recipe "
        f"`{run.recipe}`. Images prepared otherwise give numbers that mean nothing.",
    ]
    if run.synthetic:
        found.insert(
            0,
            "**Its images are synthetic phantoms.** Scores say that the program works, and nothing "
            "about mammograms.",
        )
    if run.reader_columns:
        found.append(f"It takes what a reader found: {', '.join(run.reader_columns)}.")
    if run.weights_warning:
        found.append(f"{run.weights_warning}.")
    if run.where:
        found.append(f"Only images with `{run.where}` were learned from and evaluated.")
    if run.absent_classes:
        found.append(f"No image was {' or '.join(run.absent_classes)}; it never predicts that.")
    if run.damaged_records:
        found.append(f"{len(run.damaged_records)} damaged records were left out.")
    if run.policies.get("split_policy") == "image":
        found.append(
            "Folds were drawn by image: patients of the validation images were trained on, so "
            "early stopping saw them, and so would a score of these images."
        )
    return found


def _of_scores(run: RunDescription, scores: Metrics) -> list[str]:
    found = [
        f"It was evaluated on {counted(scores.images, 'images')} of "
        f"{counted(scores.patients, 'patients')}; an "
        "interval covers the choice of these patients, not another hospital."
    ]
    tta = run.test_time_augmentation or tta_config.NONE
    if tta != tta_config.NONE:
        found.append(
            f"Its scores are those of several views of each image, averaged (`--tta={tta}`); "
            "exported files see an image once, as it is."
        )
    names, images = list(scores.labels), scores.images
    if len(names) == 2 and images:
        fraction = scores.labels[names[1]] / images
        sentence = (
            f"{100 * fraction:.0f} % of the evaluated images are {names[1]}; precision, "
            "accuracy and calibration hold at that fraction alone."
        )
        if run.target in _SCREENED:
            sentence += (
                " Screening finds about 5 cancers in 1,000 examinations (Lehman et al., Radiology "
                "283:49-58, 2017)."
            )
        found.append(sentence)
    if scores.predicts_one_class:
        found.append("**It predicts one class for every image.**")
    auc, accuracy = scores["auc"].low, scores["accuracy"].low
    if auc is not None and auc <= 0.5:
        found.append("The interval of its AUC includes 0.5: no better than chance is not excluded.")
    baseline = scores.majority_baseline
    if baseline is not None and accuracy is not None and accuracy <= baseline:
        found.append(
            f"The interval of its accuracy includes {baseline:.3f}, what always naming the larger "
            "class would have."
        )
    error = scores.metrics.get("calibration_error")
    if error and error.beyond_chance:
        found.append(f"Its probabilities are off: calibration error {card_scores.metric(error)}.")
    if not scores.subgroups:
        found.append("Subgroups (by view, density, ...) were not measured.")
    found.append("Age, ethnicity and device are not in its records, so no score is split by them.")
    return found
