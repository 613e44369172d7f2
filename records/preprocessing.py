"""Preparation of images, manifest.json -> Preparation -> run.json: recipe, size, window, decoder.

preparation = Preparation.from_manifest(manifest)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from records.image_size import ImageSize
from records.manifest import Manifest

_ALWAYS = {"always": True}
"""Metadata of a field that run.json states also where it has its default."""


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
        versions: of the libraries whose version may change a pixel.
    """

    recipe: str
    size: ImageSize
    max_pixels: int
    window: str = dataclasses.field(default="none", metadata=_ALWAYS)
    frame: int | None = dataclasses.field(default=None, metadata=_ALWAYS)
    decoder: str = dataclasses.field(default="auto", metadata=_ALWAYS)
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict, metadata=_ALWAYS)

    @classmethod
    def from_manifest(cls, manifest: Manifest) -> Preparation:
        """Takes it from manifest.json, whose settings leave out what stands at its default."""
        settings = manifest.job.settings
        return cls(
            recipe=manifest.job.steps,
            size=manifest.job.size,
            max_pixels=settings["max_pixels"],
            versions=manifest.job.versions,
            **{key: settings[key] for key in ("window", "frame", "decoder") if key in settings},
        )
