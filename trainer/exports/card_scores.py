"""Metrics of a run as tables of Markdown for its model card; absent ones are "not measured"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trainer.metrics import metric_table

ABSENT = "not measured"


def tabulate(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
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
    rows = [(one.title, metric(scores[one.key])) for one in metric_table.TABLE if one.key in scores]
    if delong := scores["auc"].get("delong"):
        rows.insert(1, ("AUC, interval by DeLong's method", metric({**scores["auc"], **delong})))
    kind = metric_table.kind_of(list(scores["labels"]), ordinal=scores.get("ordinal", False))
    absent = [one.title for one in metric_table.of_kind(kind) if one.key not in scores]
    text = tabulate(("metric", "value (95 % interval)"), rows)
    return text + (f"\n\nNot measured: {', '.join(absent)}." if absent else "")


def confusion(scores: Mapping[str, Any], key: str = "confusion_matrix") -> str:
    """Tabulates images by truth and class called."""
    names = list(scores["labels"])
    rows = [(name, *row) for name, row in zip(names, scores[key], strict=True)]
    return tabulate(("truth \\ called", *names), rows)


def chosen_threshold(scores: Mapping[str, Any]) -> str:
    """Tabulates the metrics at the threshold chosen on validation."""
    chosen = scores.get("chosen_threshold")
    if chosen is None:
        return ABSENT
    if "not_defined_because" in chosen:
        return f"not defined: {chosen['not_defined_because']}"
    at = ", ".join(f"{threshold:.4g}" for threshold in chosen["thresholds"])
    rows = [(one.title, metric(chosen[one.key])) for one in metric_table.TABLE if one.key in chosen]
    return f"{at}\n\n" + tabulate(("metric at this threshold", "value (95 % interval)"), rows)


def calibration(scores: Mapping[str, Any], calibrated: Mapping[str, Any]) -> str:
    """Writes whether the probabilities are calibrated, and how well.

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
        (one.title, metric(scores.get(one.key)), metric(after[one.key]))
        for one in metric_table.TABLE
        if one.key in after
    ]
    return text + ("\n\n" + tabulate(("metric", "before", "after"), rows) if rows else "")


def levels(scores: Mapping[str, Any]) -> str:
    """Tabulates metrics of breasts and patients, the images of each taken together."""
    rows, notes, brief = [], [], _brief(scores)
    for level, kinds in scores.get("levels", {}).items():
        for kind in ("mean", "max"):
            one = kinds if "not_defined_because" in kinds else kinds.get(kind, {})
            whole = one if "not_defined_because" in one else None
            metrics = [metric(whole or one.get(key)) for key in brief]
            rows.append((level, f"{kind} of its images", one.get("groups", ""), *metrics))
        notes += [kinds["note"]] if "note" in kinds else []
    header = ("level", "probability", "number", *(metric_table.BY_KEY[key].title for key in brief))
    note = f"\n\n{'; '.join(notes)}." if notes else ""
    return tabulate(header, rows) + note if rows else ABSENT


def subgroups(scores: Mapping[str, Any]) -> str:
    """Tabulates metrics of images by view, side, density, ..."""
    brief = _brief(scores)
    rows = [
        (
            group,
            one["value"] or "not stated",
            one["images"],
            one["patients"],
            *(metric(one.get(key)) for key in brief),
        )
        for group, ones in scores.get("subgroups", {}).items()
        for one in ones
    ]
    header = (
        "by",
        "value",
        "images",
        "patients",
        *(metric_table.BY_KEY[key].title for key in brief),
    )
    return tabulate(header, rows) if rows else ABSENT


def _brief(scores: Mapping[str, Any]) -> Sequence[str]:
    """Lists the metrics of a breast, a patient or a subgroup."""
    return metric_table.brief(
        metric_table.kind_of(list(scores["labels"]), ordinal=scores.get("ordinal", False))
    )


def _cell(value: object) -> str:
    text = str(value).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(text.split())
