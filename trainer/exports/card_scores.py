"""Scores of a run as tables of Markdown, for its model card; what is absent is "not measured"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

ABSENT = "not measured"
FIGURES = {
    "auc": "AUC",
    "partial_auc": "partial AUC",
    "average_precision": "average precision",
    "pf1": "pF1",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "precision": "precision",
    "recall": "recall (sensitivity)",
    "specificity": "specificity",
    "f1": "F1",
    "macro_f1": "macro F1",
    "kappa": "quadratic weighted kappa",
    "mcc": "Matthews correlation",
    "sensitivity_at_90_specificity": "sensitivity at 90 % specificity",
    "sensitivity_at_95_specificity": "sensitivity at 95 % specificity",
    "specificity_at_90_sensitivity": "specificity at 90 % sensitivity",
    "specificity_at_95_sensitivity": "specificity at 95 % sensitivity",
    "brier": "Brier score",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
    "calibration_slope": "calibration slope",
    "calibration_intercept": "calibration intercept",
}
"""Key in metrics.json -> name, in the order of the card."""
_OF_MORE_CLASSES = ("macro_f1", "kappa")
_SHORT = ("auc", "accuracy", "recall", "specificity")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Writes a table of Markdown; no text in it breaks it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def metric(content: Any) -> str:
    """Writes a metric of metrics.json, a mapping or a bare number, with its interval."""
    if content is None:
        return ABSENT
    if not isinstance(content, Mapping):
        return f"{content:.3f}"
    if content.get("value") is None:
        return f"not defined: {content.get('not_defined_because', 'no reason given')}"
    value = f"{content['value']:.3f}"
    if content.get("low") is None:
        because = content.get("interval_not_defined_because")
        return f"{value} (no interval: {because})" if because else value
    return f"{value} ({content['low']:.3f} to {content['high']:.3f})"


def images(scores: Mapping[str, Any]) -> str:
    """Tabulates the metrics of images, as the model gave its probabilities."""
    rows = [(name, metric(scores[key])) for key, name in FIGURES.items() if key in scores]
    if delong := scores["auc"].get("delong"):
        rows.insert(1, ("AUC, interval by DeLong's method", metric({**scores["auc"], **delong})))
    wanted = FIGURES if len(scores["labels"]) == 2 else ()
    absent = [FIGURES[key] for key in wanted if key not in scores and key not in _OF_MORE_CLASSES]
    text = table(("metric", "value (95 % interval)"), rows)
    return text + (f"\n\nNot measured: {', '.join(absent)}." if absent else "")


def confusion(scores: Mapping[str, Any], key: str = "confusion_matrix") -> str:
    """Tabulates images by truth and answer."""
    names = list(scores["labels"])
    rows = [(name, *row) for name, row in zip(names, scores[key], strict=True)]
    return table(("truth \\ answer", *names), rows)


def chosen_threshold(scores: Mapping[str, Any]) -> str:
    """Says how the model does at the threshold chosen on validation."""
    chosen = scores.get("chosen_threshold")
    if chosen is None:
        return ABSENT
    if "not_defined_because" in chosen:
        return f"not defined: {chosen['not_defined_because']}"
    at = ", ".join(f"{threshold:.4g}" for threshold in chosen["thresholds"])
    rows = [(name, metric(chosen[key])) for key, name in FIGURES.items() if key in chosen]
    return f"{at}\n\n" + table(("metric at this threshold", "value (95 % interval)"), rows)


def calibration(scores: Mapping[str, Any], calibrated: Mapping[str, Any]) -> str:
    """Says whether the probabilities are calibrated, and how well.

    Args:
        scores: content of metrics.json.
        calibrated: content of calibration.json, {} if there is none.
    """
    for content in (calibrated, scores.get("calibrated", {})):
        if "not_defined_because" in content:
            return f"none, not defined: {content['not_defined_because']}"
    if not calibrated:
        return f"none; the probabilities are the network's own, their calibration was {ABSENT}"
    text = (
        f"{calibrated.get('used', ABSENT)}, fitted on {calibrated.get('images', ABSENT)} "
        f"validation "
        f"images of {calibrated.get('patients', ABSENT)} patients. The exported files give the "
        "network's own probabilities, before calibration."
    )
    after = scores.get("calibrated", {})
    rows = [
        (name, metric(scores.get(key)), metric(after[key]))
        for key, name in FIGURES.items()
        if key in after
    ]
    return text + ("\n\n" + table(("metric", "before", "after"), rows) if rows else "")


def levels(scores: Mapping[str, Any]) -> str:
    """Tabulates metrics of breasts and patients, the images of each taken together."""
    rows, notes = [], []
    for level, kinds in scores.get("levels", {}).items():
        for kind in ("mean", "max"):
            one = kinds if "not_defined_because" in kinds else kinds.get(kind, {})
            whole = one if "not_defined_because" in one else None
            metrics = [metric(whole or one.get(key)) for key in _SHORT]
            rows.append((level, f"{kind} of its images", one.get("groups", ""), *metrics))
        notes += [kinds["note"]] if "note" in kinds else []
    header = ("level", "probability", "number", *(FIGURES[key] for key in _SHORT))
    said = f"\n\n{'; '.join(notes)}." if notes else ""
    return table(header, rows) + said if rows else ABSENT


def subgroups(scores: Mapping[str, Any]) -> str:
    """Tabulates metrics of images by view, side, density, ..."""
    rows = [
        (
            group,
            one["value"] or "not stated",
            one["images"],
            one["patients"],
            *(metric(one.get(key)) for key in _SHORT),
        )
        for group, ones in scores.get("subgroups", {}).items()
        for one in ones
    ]
    header = ("by", "value", "images", "patients", *(FIGURES[key] for key in _SHORT))
    return table(header, rows) if rows else ABSENT


def _cell(value: object) -> str:
    text = str(value).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(text.split())
