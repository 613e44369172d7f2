"""Preparation of images, manifest.json -> Preparation -> run.json: recipe, size, window, polarity.

preparation = Preparation.from_manifest(manifest)
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from records.errors import CallerError
from records.image_size import ImageSize
from records.manifest import Manifest

_ALWAYS = {"always": True}
"""Metadata of a field that run.json states also where it has its default."""
EXPORTED = ("rsna", "table")
"""Data sets whose images may be exports, with no header to tell their polarity and aspect."""
_ASPECT = re.compile(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)")


def parse_aspect(text: str) -> float | None:
    """Reads "4:3" as height / width; None where the text is no H:W.

    Raises:
        CallerError: it is, and no image is like that.
    """
    match = _ASPECT.fullmatch(text.strip())
    if match is None:
        return None
    height, width = float(match[1]), float(match[2])
    if not 0 < width <= 5 * height <= 25 * width:
        raise CallerError(f"aspect {text}: height to width must lie in 1:5..5:1, such as 5:4")
    return height / width


@dataclasses.dataclass(frozen=True)
class Preparation:
    """All that decides the pixels of a record, beside the image itself, its view and its side.

    Attributes:
        recipe: its canonical text, `flags.recipe_spec.canonical`.
        size: of a record.
        max_pixels: images whose header claims more are refused.
        window: which grey-level window a DICOM image is seen through,
            `flags.conversion_config.WINDOWS`.
        frame: which frame of a multi-frame file, from 0; None refuses such files.
        decoder: what decodes DICOM pixels, `flags.conversion_config.DECODERS`.
        decode_at_least: size that JPEG 2000 is decoded to at least, None for all of it.
        invert: whether images that are no DICOM and are negatives by their pixels are inverted.
        aspect: what such images had before they were stretched: none, H:W, or the column of the
            table that states it.
        versions: of the libraries whose version may change a pixel.
    """

    recipe: str
    size: ImageSize
    max_pixels: int
    window: str = dataclasses.field(default="none", metadata=_ALWAYS)
    frame: int | None = dataclasses.field(default=None, metadata=_ALWAYS)
    decoder: str = dataclasses.field(default="auto", metadata=_ALWAYS)
    decode_at_least: ImageSize | None = dataclasses.field(default=None, metadata=_ALWAYS)
    invert: bool = dataclasses.field(default=False, metadata=_ALWAYS)
    aspect: str = dataclasses.field(default="none", metadata=_ALWAYS)
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict, metadata=_ALWAYS)

    @classmethod
    def from_manifest(cls, manifest: Manifest) -> Preparation:
        """Takes it from manifest.json, whose settings leave out what stands at its default."""
        settings = manifest.job.settings
        at_least = settings.get("decode_at_least")
        # without a word, those of DICOM are right as they are, others were taken as they were
        invert = settings.get("invert", "none" if manifest.dataset in EXPORTED else "auto")
        return cls(
            recipe=manifest.job.steps,
            size=manifest.job.size,
            max_pixels=settings["max_pixels"],
            versions=manifest.job.versions,
            decode_at_least=ImageSize.parse(at_least) if at_least else None,
            invert=invert != "none",
            **{
                key: settings[key]
                for key in ("window", "frame", "decoder", "aspect")
                if key in settings
            },
        )
