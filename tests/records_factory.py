"""Small folders of records, made by the program's own functions from images of noise."""

import dataclasses
import pathlib

import numpy as np

from beam_jobs import manifest, shards, splits
from beam_jobs.imaging import decode
from beam_jobs.sources.source_row import SourceRow
from flags.conversion import ConversionConfig
from records.image_size import ImageSize

REJECTED, MISSING, EXCLUDED = "image005", "image009", "image011"
LABELS = ("benign", "malignant", "benign", "normal")


@dataclasses.dataclass
class Records:
    """A conversion that can be given again, as the program would do it."""

    directory: pathlib.Path
    images: list[SourceRow]
    config: ConversionConfig

    @property
    def shards(self) -> list[pathlib.Path]:
        return sorted(self.directory.glob("*.tfrecord-*"))

    def run(self) -> None:
        """Writes what is unfinished; a finished folder is left alone."""
        output = shards.Output(self.directory, self.config.sizes[0], self.config.recipes[0])
        job = manifest.describe_job(self.config, output, self.images)
        manifest.check_output(output, job, overwrite=False)
        manifest.open_output(output, job, overwrite=False)
        plan = splits.summarise(
            self.images, split_policy=self.config.split_policy, record_bytes=output.record_bytes
        )
        manifest.write_plan(output, plan)
        planned = shards.plan(
            self.config.dataset,
            self.images,
            [output],
            data_dir=self.config.data_dir,
            images_per_shard=self.config.images_per_shard,
            options=decode.Options(max_pixels=self.config.max_pixels),
        )
        todo = [rest for shard in planned if (rest := shards.unfinished(shard))]
        for shard in todo:
            shards.write(shard)
        if todo or manifest.read_manifest(output) is None:
            manifest.close_output(output, job, self.images, planned)


def make_images(count: int, *, leaked: int = 0) -> list[SourceRow]:
    """Two images a patient; every fifth patient is in the test set, some also in training."""
    images = []
    for number in range(count):
        patient = number // 2
        split = "test" if patient % 5 == 4 else "train"
        if patient // 5 < leaked and patient % 5 == 4:
            split = ("train", "test")[number % 2]
        name = f"image{number:03d}"
        images.append(
            SourceRow(
                image_id=name,
                patient_id=f"patient{patient:03d}",
                side=("left", "right")[patient % 2],
                view=("CC", "MLO")[number % 2],
                pathology=LABELS[patient % 4],
                abnormality=("mass", "calcification", "")[patient % 3],
                density=str(1 + patient % 4),
                assessment="" if patient % 7 == 0 else str(patient % 6),
                abnormalities=patient % 3,
                official_split=split,
                excluded="by hand" if name == EXCLUDED else "",
                path="" if name == MISSING else f"{name}.pgm",
                bytes=1,
            )
        )
    return images


def make_records(
    root: pathlib.Path,
    *,
    count: int = 60,
    size: str = "24x16",
    leaked: int = 0,
    darker: int = 0,
    **policies: str,
) -> Records:
    """Writes images and their records below `root`: one is rejected, one missing, one excluded."""
    data_dir = root / "images"
    data_dir.mkdir(parents=True)
    images = make_images(count, leaked=leaked)
    for seed, image in enumerate(images):
        shape = (96, 70) if seed % 3 else (1100, 60)
        pixels = np.random.default_rng(seed).integers(darker, 250, shape, dtype=np.uint8) - darker
        if image.path:
            header = f"P5 {shape[1]} {shape[0]} 255\n".encode()
            content = b"no image" if image.image_id == REJECTED else header + pixels.tobytes()
            (data_dir / image.path).write_bytes(content)
    config = ConversionConfig(
        dataset="cbis_ddsm",
        data_dir=data_dir,
        output_dir=root / "out",
        sizes=(ImageSize.parse(size),),
        recipes=("plain",),
        images_per_shard=4,
        **policies,
    )
    assigned = splits.assign(
        images,
        split_policy=config.split_policy,
        leak_policy=config.leak_policy,
        folds=4,
        test_fraction=0.2,
        seed=0,
    )
    made = Records(root / "out" / "cbis_ddsm" / size / "plain", assigned, config)
    made.run()
    return made
