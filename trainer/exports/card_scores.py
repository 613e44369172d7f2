"""Metrics of a run as tables of Markdown for its model card; absent ones are "not measured"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trainer.evaluation.calibration import Calibration
from trainer.metrics import metric_table
from trainer.metrics.metrics_json import Metrics, MetricValue, undefined

ABSENT = "not measured"


def tabulate(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Writes a table of Markdown; no text in it breaks it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def metric(content: MetricValue | None) -> str:
    """Writes a metric with its interval."""
    if content is None:
        return ABSENT
    if content.value is None:
        return f"not defined: {content.not_defined_because or 'no reason given'}"
    value = f"{content.value:.3f}"
    if chance := content.by_chance:
        verdict = "off" if content.beyond_chance else "not shown to be off"
        by_chance = f"by chance alone {chance.mean:.3f}, up to {chance.high:.3f}"
        return f"{value} ({by_chance}: {verdict})"
    if content.interval is None:
        because = content.interval_not_defined_because
        return f"{value} (no interval: {because})" if because else value
    return "{} ({:.3f} to {:.3f})".format(value, *content.interval)


def images(scores: Metrics) -> str:
    """Tabulates the metrics of images, as the model gave its probabilities."""
    rows = [(one.title, metric(scores[one.key])) for one in metric_table.TABLE if one.key in scores]
    auc = scores["auc"]
    if delong := auc.delong:
        reason = delong.not_defined_because or auc.not_defined_because
        by_delong = MetricValue(auc.value, delong.low, delong.high, not_defined_because=reason)
        rows.insert(1, ("AUC, interval by DeLong's method", metric(by_delong)))
    absent = [one.title for one in metric_table.of_kind(scores.kind) if one.key not in scores]
    text = tabulate(("metric", "value (95 % interval)"), rows)
    return text + (f"\n\nNot measured: {', '.join(absent)}." if absent else "")


def confusion(scores: Metrics) -> str:
    """Tabulates images by truth and class called."""
    names = list(scores.labels)
    rows = [(name, *row) for name, row in zip(names, scores.confusion_matrix, strict=True)]
    return tabulate(("truth \\ called", *names), rows)


def chosen_threshold(scores: Metrics, why_none: str) -> str:
    """Tabulates the metrics at the threshold chosen on validation, or says why there is none."""
    chosen = scores.chosen_threshold
    if chosen is None:
        return ABSENT
    if chosen.not_defined_because:
        return f"not defined: {why_none or chosen.not_defined_because}"
    at = ", ".join(f"{threshold:.4g}" for threshold in chosen.thresholds)
    rows = [(one.title, metric(chosen[one.key])) for one in metric_table.TABLE if one.key in chosen]
    return f"{at}\n\n" + tabulate(("metric at this threshold", "value (95 % interval)"), rows)


def calibration(scores: Metrics, fitted: Calibration | None) -> str:
    """Writes whether the probabilities are calibrated, and how well.

    Args:
        scores: content of metrics.json.
        fitted: content of calibration.json, None if there is none.
    """
    for content in (fitted, scores.calibrated):
        if content and content.not_defined_because:
            return f"none, not defined: {content.not_defined_because}"
    if fitted is None:
        return f"none; the probabilities are the network's own, their calibration was {ABSENT}"
    text = (
        f"{fitted.used}, fitted on {fitted.images} validation images of {fitted.patients} "
        "patients. The exported files give the network's own probabilities, before calibration."
    )
    after = scores.calibrated
    rows = [
        (one.title, metric(scores.metrics.get(one.key)), metric(after[one.key]))
        for one in metric_table.TABLE
        if after and one.key in after
    ]
    return text + ("\n\n" + tabulate(("metric", "before", "after"), rows) if rows else "")


def levels(scores: Metrics) -> str:
    """Tabulates metrics of breasts and patients, the images of each taken together."""
    rows, notes, brief = [], [], metric_table.brief(scores.kind)
    for unit, level in scores.levels.items():
        for how, one in (("mean", level.mean), ("max", level.max)):
            reason = level.not_defined_because or (one.not_defined_because if one else "")
            whole = undefined(reason) if reason else None
            metrics = [metric(whole or (one.metrics.get(key) if one else None)) for key in brief]
            number = one.groups if one and one.groups is not None else ""
            rows.append((unit, f"{how} of its images", number, *metrics))
        notes += [level.note] if level.note else []
    header = ("level", "probability", "number", *(metric_table.BY_KEY[key].title for key in brief))
    note = f"\n\n{'; '.join(notes)}." if notes else ""
    return tabulate(header, rows) + note if rows else ABSENT


def subgroups(scores: Metrics) -> str:
    """Tabulates metrics of images by view, side, density, ..."""
    brief = metric_table.brief(scores.kind)
    rows = [
        (column, one.value, one.images, one.patients, *(metric(one.metrics.get(k)) for k in brief))
        for column, groups in scores.subgroups.items()
        for one in groups
    ]
    titles = (metric_table.BY_KEY[key].title for key in brief)
    header = ("by", "value", "images", "patients", *titles)
    return tabulate(header, rows) if rows else ABSENT


def _cell(value: object) -> str:
    text = str(value).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(text.split())
