"""Flags of the Beam job -> ConversionConfig.

define(ConversionConfig)
config = ConversionConfig.from_flags(absl.flags.FLAGS)
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable
from typing import Any

from absl import flags

from flags import datasets, fields, recipe_spec
from flags.fields import Flags, flag
from flags.table_columns import COLUMNS, parse_columns, parse_values
from records import user_paths
from records.errors import CallerError
from records.image_size import LARGEST_SIDE, ImageSize
from records.preprocessing import EXPORTED, parse_aspect

WINDOWS = {
    "none": "the whole range of values that can be stored, the same for all images of a device",
    "first": "the image's first, the whole range where it has none",
    "INDEX": "the one of that number, from 0; images without it are rejected",
}
DECODERS = {
    "auto": "what is best, today pydicom",
    "pydicom": "headers with pydicom, pixels with the fastest right codec for each compression",
    "tfio": "pixels with tensorflow-io (DCMTK), a slow second opinion that lacks HTJ2K",
}
INVERSIONS = {
    "none": "none",
    "auto": "those that are no DICOM and are negatives by their pixels: the air around the breast "
    "is white",
    "COLUMN": "those of which this column of the table says yes; where it is empty, as auto",
}
ASPECTS = {
    "none": "that of their pixels",
    "H:W": "this, height to width",
    "COLUMN": "what this column of the table states as H:W, nothing where it is empty",
}
DECODE_SCALES = {
    "full": "whole",
    "auto": "without the wavelet levels that the largest size does not need: at least twice its "
    "rows and columns are decoded, four times where a recipe crops; ten times as fast, and not "
    "quite the same pixels",
}
_BEFORE_CROP = 2
"""How much smaller than its image a breast is taken to be, in rows and columns."""


def _parse_sizes(texts: Iterable[str]) -> tuple[ImageSize, ...]:
    return tuple(dict.fromkeys(ImageSize.parse(text) for text in texts if text.strip()))


def _place(text: str) -> pathlib.Path | str:
    """Returns a path of this machine, or the address of a store (s3://...) as it is."""
    return text if "://" in text else pathlib.Path(text)


@dataclasses.dataclass(frozen=True)
class ConversionConfig(Flags):
    """One conversion, complete and valid.

    Its identity is what decides the records. What came after the first records is left out of it
    at its default, so that those keep theirs.
    """

    dataset: str = flag(
        "phantom",
        "Which images",
        choices=dict.fromkeys(datasets.DATASETS, ""),
        note="Left out: the one that lies under data/, or the built-in phantom sample where there "
        "is none.",
        chosen=True,
    )
    data_dir: pathlib.Path | str = flag(
        pathlib.Path("data/phantom"),
        "Folder with the images and tables as downloaded (searched recursively), on this machine "
        "or in a store (s3://, gs://, hdfs://). Default: data/<dataset>.",
        chosen=True,
        parse=_place,
        identity=False,
        place=True,
    )
    output_dir: pathlib.Path | str = flag(
        pathlib.Path("data/tfrecords"),
        "Where the records go, as <output_dir>/<dataset>/<H>x<W>/<recipe>/; a folder of this "
        "machine or of a store.",
        parse=_place,
        identity=False,
        place=True,
    )
    # every size and recipe is an output of its own, with its own description
    sizes: tuple[ImageSize, ...] = flag(
        (ImageSize(512, 512),),
        "Sizes to write, HEIGHTxWIDTH, one or more: 2048x1376,512x512.",
        parse=_parse_sizes,
        identity=False,
    )
    recipes: tuple[str, ...] = flag(
        ("paper",),
        "How pixels are prepared; may be repeated. "
        + "; ".join(f"{name} = {steps}" for name, steps in recipe_spec.RECIPES.items())
        + f". Or a list of steps, for example {recipe_spec.EXAMPLE}. "
        + recipe_spec.describe_steps(),
        name="recipe",
        repeated=True,
        parse=recipe_spec.distinct,
        identity=False,
    )
    label_policy: str = flag(
        "any_malignant", "How images are named", choices=datasets.LABEL_POLICIES
    )
    unit: str = flag(
        "image",
        "What one record holds",
        choices=datasets.UNITS,
        note="Records of several views go to <recipe>-breast or <recipe>-exam.",
        late=True,
    )
    split_policy: str = flag(
        "official",
        "Who is in test and in each fold",
        choices=datasets.SPLIT_POLICIES,
        note="Default: official where the data set has a test set, else patient.",
        chosen=True,
    )
    leak_policy: str = flag(
        "drop_from_train", "Patients in both official sets", choices=datasets.LEAK_POLICIES
    )
    special_views: str = flag(
        "exclude",
        "Magnified, spot, implant-displaced and other special views by their DICOM headers, and "
        "raw or synthetic twins of standard images",
        choices=datasets.SPECIAL_VIEWS,
        late=True,
    )
    any_modality: bool = flag(
        False,
        "Take images that are no mammograms by their headers too (CT, MR, chest, ...).",
        late=True,
    )
    folds: int = flag(4, "Folds of the training images.", low=2, high=50)
    test_fraction: float = flag(
        0.2,
        "Fraction of patients (or images) drawn as test set where there is no official one, "
        "0.05 to 0.5; 0 = none, for cross-validation.",
        low=0,
        high=0.5,
    )
    split_seed: int = flag(111, "Seed of the folds (111 is the published one).")
    images_per_shard: int = flag(16, "Images in one shard.", low=1)
    max_pixels: int = flag(
        100_000_000,
        "Images whose header claims more pixels are rejected before memory is taken.",
        low=1,
    )
    window: str = flag(
        "none",
        "Which of the grey-level windows a DICOM image carries",
        choices=WINDOWS,
        other=str.isdecimal,
        note="An image's VOI LUTs go before its windows.",
        remedy="an index counts from 0",
        late=True,
    )
    frame: int | None = flag(
        None,
        "Which frame of a multi-frame image (tomosynthesis, a TIFF of several pages) to take, "
        "counted from 0; images that have no such frame are rejected. Default: images of several "
        "frames are rejected, for a stack is no mammogram.",
        low=0,
        late=True,
    )
    decoder: str = flag(
        "auto", "What decodes the pixels of DICOM images", choices=DECODERS, late=True
    )
    decode_scale: str = flag(
        "full",
        "How far images in JPEG 2000 are decoded (but those with padding)",
        choices=DECODE_SCALES,
        late=True,
    )
    invert: str = flag(
        "none",
        "Which images are inverted, because their MONOCHROME1 was not minded when they were "
        "exported",
        choices=INVERSIONS,
        other=bool,
        note="Default: auto for " + " and ".join(EXPORTED) + ", else none.",
        chosen=True,
        late=True,
    )
    aspect: str = flag(
        "none",
        "What aspect images that are no DICOM had before they were stretched to their size",
        choices=ASPECTS,
        other=bool,
        late=True,
    )
    max_rejected: float = flag(
        0.01,
        "Fraction of images that may be rejected before the job ends non-zero; what can be written "
        "is written all the same.",
        low=0,
        high=1,
        identity=False,
    )
    phantom_images: int | None = flag(
        None, "How many images the built-in sample has.", low=8, late=True
    )
    phantom_size: ImageSize | None = flag(
        None,
        "Native size of its images, HEIGHTxWIDTH, at least 2049x640.",
        parse=ImageSize.parse,
        late=True,
    )
    table: str | None = flag(
        None,
        "Table of --dataset=table, CSV, .xlsx or Parquet; a relative path starts at --data_dir. "
        "Default: the only one there.",
        identity=False,
        place=True,
    )
    columns: tuple[tuple[str, str], ...] = flag(
        (),
        "What the columns of that table are, as key=column,...; keys not given go by their own "
        "name, and 'key=' leaves one out. " + fields.describe("Keys", COLUMNS),
        parse=parse_columns,
        late=True,
    )
    values: tuple[tuple[str, str, str], ...] = flag(
        (),
        "What its values mean, as key:found=meant,...: pathology:1=malignant,side:L=left; "
        "'pathology:=' says that an empty cell means not stated. Or @FILE, a table with the "
        "columns key, found and meant.",
        parse=parse_values,
        late=True,
    )
    match: str = flag(
        "path", "How a row of that table finds its image", choices=datasets.MATCHES, late=True
    )
    path_prefix: user_paths.Prefix | None = flag(
        None,
        "OLD=NEW: paths of that table that begin with OLD begin with NEW instead, NEW being below "
        "--data_dir.",
        parse=user_paths.Prefix.parse,
        identity=False,
        place=True,
    )
    # the records tell a fingerprint of the key, wherever it lies
    hash_patients: pathlib.Path | None = flag(
        None,
        "File with a secret key: names of patients, images and files are written as keyed hashes "
        "only. The same key gives the same hashes.",
        parse=pathlib.Path,
        identity=False,
        place=True,
    )
    overwrite: bool = flag(
        False, "Replace records written under another configuration.", identity=False
    )
    dry_run: bool = flag(
        False,
        "Read the tables, print counts and what would be written, write plan.json, and stop.",
        identity=False,
    )

    def check(self) -> None:
        """Checks recipes, and what the data set demands of policies and table."""
        super().check()
        for text in self.recipes:
            recipe_spec.parse(text)
        if self.split_policy == "official" and not _has_test_set(self.dataset, self.columns):
            remedy = (
                "name its column by --columns=split=..., or " if self.dataset == "table" else ""
            )
            raise CallerError(
                f"--split_policy=official: {self.dataset} has no official test set; {remedy}"
                "use --split_policy=patient"
            )
        if self.unit != "image" and self.split_policy == "image":
            raise CallerError(
                f"--unit={self.unit} with --split_policy=image: views of one {self.unit} would "
                "stand in several folds; use --split_policy=official or patient"
            )
        own = self.table or self.columns or self.values or self.path_prefix
        if self.dataset != "table" and (own or self.match != "path"):
            raise CallerError(
                "--table, --columns, --values, --match and --path_prefix are for --dataset=table, "
                f"not {self.dataset}"
            )
        if (size := self.phantom_size) and (size.height <= 2048 or size.width < 640):
            raise CallerError(f"--phantom_size={size} is less than 2049x640; give a larger one")
        parse_aspect(self.aspect)  # refuses what no image has
        for name in ("invert", "aspect"):
            if self.column(name) and self.dataset not in EXPORTED:
                raise CallerError(
                    f"--{name}={self.column(name)}: {self.dataset} has no table for columns of "
                    f"one's own; give one of {', '.join(fields.flags_of(type(self))[name].choices)}"
                )
        if self.decode_scale != "full" and self.decoder == "tfio":
            raise CallerError(
                f"--decode_scale={self.decode_scale}: tensorflow-io decodes every wavelet level; "
                "leave out --decoder=tfio"
            )
        if 0 < self.test_fraction < 0.05:
            raise CallerError(
                f"--test_fraction={self.test_fraction} is less than 0.05; give 0 for no test set"
            )
        if not self.sizes:
            raise CallerError("--sizes is empty; give at least one, for example 512x512")

    @classmethod
    def from_flags(cls, values: flags.FlagValues) -> ConversionConfig:
        """Builds the configuration from parsed flags; what is left out goes by the data set.

        Raises:
            CallerError: a value is unknown or contradicts another; one line with the remedy.
        """
        given = fields.read(cls, values)
        dataset = given["dataset"] or _choose_dataset(values.data_dir)
        fields.check_name("dataset", dataset, datasets.DATASETS)
        official = _has_test_set(dataset, given["columns"])
        by_data_set: dict[str, Any] = {
            "dataset": dataset,
            "data_dir": given["data_dir"] or pathlib.Path("data") / dataset,
            "split_policy": given["split_policy"] or ("official" if official else "patient"),
            "invert": given["invert"] or ("auto" if dataset in EXPORTED else "none"),
        }
        return cls(**{**given, **by_data_set})

    def identity(self) -> dict[str, Any]:
        """Lists what decides the records."""
        decisive = super().identity()
        if self.decoder == "pydicom":  # the same pixels as auto
            del decisive["decoder"]
        if self.at_least:
            decisive["decode_at_least"] = str(self.at_least)
        return decisive

    def column(self, name: str) -> str:
        """Returns the column of the table that `invert` or `aspect` names, "" for none."""
        text: str = getattr(self, name)
        known = text in ("auto", "none") or (name == "aspect" and parse_aspect(text) is not None)
        return "" if known else text

    @property
    def at_least(self) -> ImageSize | None:
        """The size that JPEG 2000 is decoded to at least, None for all of it."""
        if self.decode_scale == "full":
            return None
        crops = any(
            step.name == "crop" for text in self.recipes for step in recipe_spec.parse(text)
        )
        times = 2 * (_BEFORE_CROP if crops else 1)
        sides = (max(s.height for s in self.sizes), max(s.width for s in self.sizes))
        return ImageSize(*(min(times * side, LARGEST_SIDE) for side in sides))


def _has_test_set(dataset: str, columns: tuple[tuple[str, str], ...]) -> bool:
    if dataset == "table":
        return bool(dict(columns).get("split"))
    return datasets.DATASETS[dataset].official_split


def _choose_dataset(data_dir: str | None) -> str:
    if data_dir:
        raise CallerError(
            f"--data_dir={data_dir} without --dataset; add --dataset="
            + "|".join(name for name in datasets.DATASETS if name != "phantom")
        )
    real = [name for name in datasets.DATASETS if name != "phantom"]
    present = [name for name in real if (pathlib.Path("data") / name).is_dir()]
    if len(present) > 1:
        raise CallerError(
            f"data/ holds {' and '.join(present)}; choose with --dataset={'|'.join(present)}"
        )
    return present[0] if present else "phantom"
