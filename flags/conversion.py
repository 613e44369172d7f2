"""What the Beam job can be told: flags -> ConversionConfig, checked once.

config = ConversionConfig.from_flags(absl.flags.FLAGS)
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

from absl import flags

from flags import catalogue, recipe
from flags.table import COLUMNS, parse_columns, parse_values
from records.errors import CallerError
from records.image_size import ImageSize


@dataclasses.dataclass(frozen=True)
class ConversionConfig:
    """One conversion, complete and valid; the flags below say what each field means."""

    dataset: str
    data_dir: pathlib.Path | str
    output_dir: pathlib.Path | str
    sizes: tuple[ImageSize, ...]
    recipes: tuple[str, ...] = ("paper",)
    label_policy: str = "any_malignant"
    split_policy: str = "official"
    leak_policy: str = "drop_from_train"
    folds: int = 4
    test_fraction: float = 0.2
    split_seed: int = 111
    images_per_shard: int = 16
    max_pixels: int = 100_000_000
    window: str = "none"
    frame: int | None = None
    decoder: str = "auto"
    max_rejected: float = 0.01
    phantom_images: int | None = None
    phantom_size: ImageSize | None = None
    table: str | None = None
    columns: tuple[tuple[str, str], ...] = ()
    values: tuple[tuple[str, str, str], ...] = ()
    hash_patients: pathlib.Path | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        catalogue.check_name("dataset", self.dataset, catalogue.DATASETS)
        for text in self.recipes:
            recipe.parse(text)
        catalogue.check_name("label_policy", self.label_policy, catalogue.LABEL_POLICIES)
        catalogue.check_name("split_policy", self.split_policy, catalogue.SPLIT_POLICIES)
        catalogue.check_name("leak_policy", self.leak_policy, catalogue.LEAK_POLICIES)
        catalogue.check_name("decoder", self.decoder, catalogue.DECODERS)
        if self.window not in ("none", "first") and not self.window.isdecimal():
            raise CallerError(
                f"--window={self.window} is not one of {', '.join(catalogue.WINDOWS)}; "
                "an index counts from 0"
            )
        if self.split_policy == "official" and not _has_test_set(self.dataset, self.columns):
            remedy = (
                "name its column by --columns=split=..., or " if self.dataset == "table" else ""
            )
            raise CallerError(
                f"--split_policy=official: {self.dataset} has no official test set; {remedy}"
                "use --split_policy=patient"
            )
        if self.dataset != "table" and (self.table or self.columns or self.values):
            raise CallerError(
                f"--table, --columns and --values are for --dataset=table, not {self.dataset}"
            )
        for name, fraction in (
            ("max_rejected", self.max_rejected),
            ("test_fraction", self.test_fraction),
        ):
            if not 0 <= fraction <= 1:  # NaN fails both
                raise CallerError(f"--{name}={fraction} is not a fraction between 0 and 1")
        if 0 < self.test_fraction < 0.05:
            raise CallerError(
                f"--test_fraction={self.test_fraction} is less than 0.05; give 0 for no test set"
            )
        if not self.sizes:
            raise CallerError("--sizes is empty; give at least one, for example 512x512")

    @classmethod
    def from_flags(cls, values: flags.FlagValues) -> ConversionConfig:
        """Builds the configuration from parsed flags.

        Raises:
            CallerError: a value is unknown or contradicts another; one line with the remedy.
        """
        dataset = _choose_dataset(values.dataset, values.data_dir)
        catalogue.check_name("dataset", dataset, catalogue.DATASETS)
        columns = parse_columns(values.columns)
        split_policy = values.split_policy
        if split_policy is None:
            split_policy = "official" if _has_test_set(dataset, columns) else "patient"
        return cls(
            dataset=dataset,
            data_dir=_place(values.data_dir or f"data/{dataset}"),
            output_dir=_place(values.output_dir),
            sizes=_parse_sizes(values.sizes),
            recipes=recipe.distinct(values.recipe),
            label_policy=values.label_policy,
            split_policy=split_policy,
            leak_policy=values.leak_policy,
            folds=values.folds,
            test_fraction=values.test_fraction,
            split_seed=values.split_seed,
            images_per_shard=values.images_per_shard,
            max_pixels=values.max_pixels,
            window=values.window,
            frame=values.frame,
            decoder=values.decoder,
            max_rejected=values.max_rejected,
            phantom_images=values.phantom_images,
            phantom_size=ImageSize.parse(values.phantom_size) if values.phantom_size else None,
            table=values.table,
            columns=columns,
            values=parse_values(values.values),
            hash_patients=pathlib.Path(values.hash_patients) if values.hash_patients else None,
            overwrite=values.overwrite,
        )

    def to_json(self) -> dict[str, Any]:
        """Says what decides the records; where they lie and how often one asks does not."""
        fields = dataclasses.asdict(self)
        for name in ("data_dir", "output_dir", "sizes", "recipes", "max_rejected", "overwrite"):
            del fields[name]
        del fields["table"], fields["hash_patients"]  # where they lie decides nothing
        for name in ("frame", "phantom_images", "phantom_size", "columns", "values"):
            if fields[name] in (None, ()):
                del fields[name]
        if self.window == "none":
            del fields["window"]
        if self.decoder != "tfio":  # the others give the same pixels
            del fields["decoder"]
        return json.loads(json.dumps(fields, default=str))


def define() -> None:
    """Defines the job's flags on absl's FLAGS."""
    flags.DEFINE_string(
        "dataset",
        None,
        f"Which images: {', '.join(catalogue.DATASETS)}. Left out: the one that lies under data/, "
        "or the built-in phantom sample where there is none.",
    )
    flags.DEFINE_string(
        "data_dir",
        None,
        "Folder with the images and tables as downloaded (searched recursively), on this machine "
        "or "
        "in a store (s3://, gs://, hdfs://). Default: data/<dataset>.",
    )
    flags.DEFINE_string(
        "output_dir",
        "data/tfrecords",
        "Where the records go, as <output_dir>/<dataset>/<H>x<W>/<recipe>/; a folder of this "
        "machine or of a store.",
    )
    flags.DEFINE_list(
        "sizes", ["512x512"], "Sizes to write, HEIGHTxWIDTH, one or more: 2048x1376,512x512."
    )
    flags.DEFINE_multi_string(
        "recipe",
        ["paper"],
        "How pixels are prepared; may be repeated. "
        + "; ".join(f"{name} = {steps}" for name, steps in catalogue.RECIPES.items())
        + f". Or a list of steps, for example {recipe.EXAMPLE}. {recipe.describe_steps()}",
    )
    flags.DEFINE_string(
        "label_policy",
        "any_malignant",
        catalogue.describe("How images are named", catalogue.LABEL_POLICIES),
    )
    flags.DEFINE_string(
        "split_policy",
        None,
        catalogue.describe("Who is in test and in each fold", catalogue.SPLIT_POLICIES)
        + " Default: official where the data set has a test set, else patient.",
    )
    flags.DEFINE_string(
        "leak_policy",
        "drop_from_train",
        catalogue.describe("Patients in both official sets", catalogue.LEAK_POLICIES),
    )
    flags.DEFINE_integer("folds", 4, "Folds of the training images.", lower_bound=2, upper_bound=50)
    flags.DEFINE_float(
        "test_fraction",
        0.2,
        "Fraction of patients (or images) drawn as test set where there is no official one, "
        "0.05 to "
        "0.5; 0 = none, for cross-validation.",
        lower_bound=0,
        upper_bound=0.5,
    )
    flags.DEFINE_integer("split_seed", 111, "Seed of the folds (111 is the published one).")
    flags.DEFINE_integer("images_per_shard", 16, "Images in one shard.", lower_bound=1)
    flags.DEFINE_integer(
        "max_pixels",
        100_000_000,
        "Images whose header claims more pixels are rejected before memory is taken.",
        lower_bound=1,
    )
    flags.DEFINE_string(
        "window",
        "none",
        catalogue.describe(
            "Which of the grey-level windows a DICOM image carries", catalogue.WINDOWS
        )
        + " An image's VOI LUTs go before its windows.",
    )
    flags.DEFINE_integer(
        "frame",
        None,
        "Which frame of a multi-frame image (tomosynthesis, a TIFF of several pages) to take, "
        "counted from 0; images that have no such frame are rejected. Default: images of several "
        "frames are rejected, for a stack is no mammogram.",
        lower_bound=0,
    )
    flags.DEFINE_string(
        "decoder",
        "auto",
        catalogue.describe("What decodes the pixels of DICOM images", catalogue.DECODERS),
    )
    flags.DEFINE_float(
        "max_rejected",
        0.01,
        "Fraction of images that may be rejected before the job ends non-zero; what can be written "
        "is written all the same.",
        lower_bound=0,
        upper_bound=1,
    )
    flags.DEFINE_integer(
        "phantom_images", None, "How many images the built-in sample has.", lower_bound=8
    )
    flags.DEFINE_string(
        "phantom_size", None, "Native size of its images, HEIGHTxWIDTH, at least 2049x640."
    )
    flags.DEFINE_string(
        "table",
        None,
        "The table of --dataset=table, CSV or Parquet, below --data_dir. Default: the only one.",
    )
    flags.DEFINE_list(
        "columns",
        [],
        "What the columns of that table are, as key=column,...; keys not given go by their own "
        "name, and 'key=' leaves one out. " + catalogue.describe("Keys", COLUMNS),
    )
    flags.DEFINE_list(
        "values",
        [],
        "What its values mean, as key:found=meant,...: pathology:1=malignant,side:L=left; "
        "'pathology:=' says that an empty cell means not stated.",
    )
    flags.DEFINE_string(
        "hash_patients",
        None,
        "File with a secret key: names of patients, images and files are written as keyed hashes "
        "only. The same key gives the same hashes.",
    )
    flags.DEFINE_bool("overwrite", False, "Replace records written under another configuration.")
    flags.DEFINE_bool(
        "dry_run",
        False,
        "Read the tables, print counts and what would be written, write plan.json, and stop.",
    )


def _parse_sizes(texts: list[str]) -> tuple[ImageSize, ...]:
    return tuple(dict.fromkeys(ImageSize.parse(text) for text in texts if text.strip()))


def _place(text: str) -> pathlib.Path | str:
    """Returns a path of this machine, or the address of a store (s3://...) as it is."""
    return text if "://" in text else pathlib.Path(text)


def _has_test_set(dataset: str, columns: tuple[tuple[str, str], ...]) -> bool:
    if dataset == "table":
        return bool(dict(columns).get("split"))
    return catalogue.DATASETS[dataset].official_split


def _choose_dataset(name: str | None, data_dir: str | None) -> str:
    if name:
        return name
    if data_dir:
        raise CallerError(
            f"--data_dir={data_dir} without --dataset; add --dataset="
            + "|".join(name for name in catalogue.DATASETS if name != "phantom")
        )
    real = [name for name in catalogue.DATASETS if name != "phantom"]
    present = [name for name in real if (pathlib.Path("data") / name).is_dir()]
    if len(present) > 1:
        raise CallerError(
            f"data/ holds {' and '.join(present)}; choose with --dataset={'|'.join(present)}"
        )
    return present[0] if present else "phantom"
