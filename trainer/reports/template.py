"""Templates of pages: Jinja with the filters and the style of all pages.

text = template.read("report.html.j2").render(run=..., metrics=...)
"""

from __future__ import annotations

import functools
import importlib.resources
import math
import re

import jinja2
from markupsafe import Markup

from records import version
from records.printable import counted, grouped
from trainer.reports import findings

STYLE = "page_style.html.j2"
_IMAGE = re.compile(r'(?:\b([Aa])n )?(?<![\w<"#:/.=-])([Ii])mage(?=s?\b(?!["/=-]))')
"""The word in prose, with its article; in tags, addresses and names it stays."""


def read(name: str) -> jinja2.Template:
    """Reads a page's template, in which `style` is the look of the report."""
    return _environment().get_template(
        name, globals={"style": Markup(_text_of(STYLE)), "program": version.describe()}
    )


@functools.cache
def _environment() -> jinja2.Environment:
    """Builds the environment of all pages, once."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_text_of),
    )
    environment.filters.update(
        score=_score,
        fraction=_fraction,
        number=_number,
        counted=functools.partial(counted, write=grouped),
        short=_short,
        of_unit=of_unit,
        place=_place,
        thresholds=findings.name_thresholds,
        time=_time,
    )
    environment.tests["small"] = lambda images: images < findings.SMALL
    environment.globals["small_group"] = findings.SMALL
    return environment


def _text_of(name: str) -> str:
    return importlib.resources.files("trainer.reports").joinpath(name).read_text("utf-8")


def of_unit(text: str, unit: str) -> str:
    """Says of breasts or examinations what is written of images: "An image is" -> "A breast is"."""

    def said(match: re.Match[str]) -> str:
        article, letter = match.groups()
        noun = unit.capitalize() if letter == "I" else unit
        return f"{article}{'n' if unit[0] in 'aeiou' else ''} {noun}" if article else noun

    return text if unit == "image" else type(text)(_IMAGE.sub(said, text))


def _score(value: float | None) -> str:
    """Writes a score with three decimals."""
    if value is None or not math.isfinite(value):
        return "not stated"
    return f"{round(value, 3) + 0.0:.3f}".replace("-", "\u2212")  # no minus before nothing


def _short(value: float) -> str:
    """Writes a number with three decimals at most, none that say nothing."""
    return f"{round(value, 3):g}"


def _place(value: float) -> str:
    """Writes where a score 0..1 lies on a whisker, in percent; below 0 it lies at its end."""
    return f"{100 * min(1.0, max(0.0, value)):.2f}"


def _fraction(part: float, whole: float) -> str:
    """Writes a part of a whole in percent."""
    return f"{100 * part / whole:.1f} %" if whole else "\u2013"


def _time(stated: str | None) -> str:
    """Writes a time of run.json to the minute."""
    return f"{stated[:16].replace('T', ' ')} UTC" if stated else "not on record"


def _number(value: float | None, decimals: int = 0) -> str:
    """Writes a count or a measurement with its thousands apart by a thin no-break space."""
    if value is None or not math.isfinite(value):
        return "not stated"
    return grouped(value, decimals)
