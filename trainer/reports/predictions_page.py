"""The page of predicted images: predictions.json and pictures -> predictions.html.

path = write(output_dir, predicted, formatter, content)
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

from records import files
from records.printable import printable
from trainer.inference.image_prediction import Formatter, ImagePrediction
from trainer.reports import template


def write(
    output_dir: pathlib.Path,
    predicted: Sequence[ImagePrediction],
    formatter: Formatter,
    content: dict[str, Any],
) -> pathlib.Path:
    """Writes predictions.html, on which every image stands with its picture and its prediction.

    Args:
        output_dir: an existing folder.
        predicted: one an image.
        formatter: of the run that predicted.
        content: of predictions.json.

    Returns:
        Path of the page.
    """
    shown, said = [], False
    for one in predicted:
        name = name_of(one.image)
        pictures = zip(one.pictures, (f"Image {name}", f"Heat map of image {name}"), strict=False)
        shown.append((one, one.notes(briefly=said), name, list(pictures)))
        said = said or bool(one.unlike)
    page = template.read("predictions.html.j2").render(
        **content,
        predicted=shown,
        sentence=formatter.sentence,
        name_of=name_of,
    )
    path = output_dir / "predictions.html"
    files.write_text(path, page)
    return path


def name_of(path: str) -> str:
    """Names a file without its folders, which may be named after people."""
    return printable(pathlib.Path(path).name)
