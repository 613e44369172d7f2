"""Records of made-up images, small enough to train on in seconds."""

import csv
import json
import pathlib

import numpy as np
import pytest

from beam_jobs import manifest, shards, splits
from beam_jobs.imaging import decode
from beam_jobs.sources.source_row import SourceRow
from flags.conversion import ConversionConfig
from records.image_size import ImageSize

SIZE = ImageSize(64, 48)


def make_images(count: int) -> list[SourceRow]:
    """Two images a patient; the malignant ones have an even patient number."""
    return [
        SourceRow(
            image_id=f"image{number:03d}",
            patient_id=f"patient{number // 2:03d}",
            side="left" if number % 4 < 2 else "right",
            view="CC" if number % 2 else "MLO",
            pathology="malignant" if (number // 2) % 2 == 0 else "benign",
            abnormality="mass",
            official_split="test" if number % 20 >= 14 else "train",
            path=f"image{number:03d}.pgm",
            bytes=1,
        )
        for number in range(count)
    ]


def write_pgm(path: pathlib.Path, image: SourceRow, seed: int) -> None:
    """Noise; malignant images have a bright square."""
    pixels = np.random.default_rng(seed).integers(0, 120, (96, 70), dtype=np.uint8)
    if image.pathology == "malignant":
        pixels[30:60, 20:50] += 100
    path.write_bytes(b"P5 70 96 255\n" + pixels.tobytes())


@pytest.fixture(scope="session")
def records_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A finished folder of 60 images: 42 in four folds, 18 in test."""
    return convert(
        tmp_path_factory.mktemp("records"),
        make_images(60),
        split_policy="official",
        folds=4,
        test_fraction=0.2,
    )


def convert(
    root: pathlib.Path, images: list[SourceRow], *, size: ImageSize = SIZE, **splitting: object
) -> pathlib.Path:
    """Writes images and their records below `root`; returns the folder of records."""
    data_dir = root / "images"
    data_dir.mkdir()
    for seed, image in enumerate(images):
        write_pgm(data_dir / image.path, image, seed)
    config = ConversionConfig(
        dataset="cbis_ddsm",
        data_dir=data_dir,
        output_dir=root / "out",
        sizes=(size,),
        recipes=("plain",),
        **splitting,
    )
    images = splits.assign(images, leak_policy="fail", seed=0, **splitting)
    output = shards.Output(root / "out" / "cbis_ddsm" / str(size) / "plain", size, "plain")
    job = manifest.describe_job(config, output, images)
    manifest.open_output(output, job, overwrite=False)
    planned = shards.plan(
        "cbis_ddsm",
        images,
        [output],
        data_dir=data_dir,
        images_per_shard=5,
        options=decode.Options(max_pixels=10**6),
    )
    for shard in planned:
        shards.write(shard)
    manifest.close_output(output, job, images, planned)
    return output.directory


@pytest.fixture(scope="session")
def listed(records_dir: pathlib.Path) -> dict[str, dict[str, str]]:
    """Rows of sources.csv by image id."""
    with (records_dir / "sources.csv").open(newline="") as file:
        return {row["image_id"]: row for row in csv.DictReader(file)}


def edit_manifest(directory: pathlib.Path, **changes: object) -> None:
    """Changes entries of manifest.json."""
    path = directory / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
