"""One image handed to a run: decoded, placed, predicted, compared with the training images, drawn.

predictor = Predictor(finished_run, pathlib.Path("predictions/heat_maps"))
predicted = predictor.predict(predictor.prepare(given), number=1)
for predicted in predict_all(predictor, images):
    ...
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from beam_jobs.imaging.dicom_file import NOBODY, Identity, Origin
from beam_jobs.imaging.unusable import UnusableImage
from flags.column_config import COLUMNS
from records.age import read_age
from records.errors import CallerError
from trainer.data import image_file
from trainer.data.image_file import PreparedImage
from trainer.heat_maps import heat_map, overlay
from trainer.inference.exams import Exams, Place
from trainer.inference.finished_model import FinishedRun
from trainer.inference.image_prediction import ImagePrediction
from trainer.inference.inputs import InputImage
from trainer.metrics.called_class import called_class
from trainer.model import network_input

_AHEAD = 2
PICTURES = 200
"""Images of which a page shows pictures, the first ones: about 10 MB."""
STATE = "give a table with path, side, view by --images=FILE.csv"
_UNKNOWN = ("view_unknown", "side_unknown")
_LESION = {"crop": "the cut-out of a lesion", "mask": "the mask of a lesion"}
_MEDIA = {"digital": "a digital mammogram", "secondary": "a copy or a digitised film"}
_TRAINED = {"digital": "digital mammograms", "film": "digitised films"}
_FOREIGN = {("digital", "film"), ("secondary", "digital")}
"""What a header says an image is, and what the network learned from."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An input image, decoded, or why that is not possible."""

    given: InputImage
    place: Place
    identity: Identity
    medium: str
    image: PreparedImage | None
    error: str
    copy_of: str = ""


class Predictor:
    """Predicts images with the networks of one run."""

    def __init__(
        self,
        finished: FinishedRun,
        heat_maps: pathlib.Path | None,
        *,
        predict_unlike: bool = False,
        any_modality: bool = False,
    ) -> None:
        """Takes the run.

        Args:
            finished: the run.
            heat_maps: folder of heat maps in an existing one, made with the first; None for none.
            predict_unlike: whether images unlike the training images are predicted too.
            any_modality: whether what is no mammogram by its header is.
        """
        self._predict_unlike = predict_unlike
        self._any_modality = any_modality
        self._finished = finished
        self._folder = heat_maps
        self._exams = Exams()
        self._met: dict[str, str] = {}
        kind = finished.target.kind
        self._mappers = [
            heat_map.HeatMapper(network.model, kind)
            for network in finished.networks
            if heat_maps and heat_map.can_draw(network.model)
        ]

    @property
    def views(self) -> tuple[str, ...]:
        """Those that one answer takes, none where it is of one image."""
        return self._finished.description.views or ()

    def find_place(self, given: InputImage) -> Place:
        """Finds what an image shows without decoding it.

        Raises:
            UnusableImage: its file can't be read.
        """
        return self._exams.place(given, *image_file.identify(given.path))

    def prepare(self, given: InputImage) -> Prepared:
        """Decodes an image and makes the pixels of its record."""
        identity, origin, place = NOBODY, Origin(), Place(None, given.side, given.view)
        try:
            identity, origin = image_file.identify(given.path)
            place = self._exams.place(given, identity, origin)
            if identity.content in _LESION:
                said = f"by its header it is {_LESION[identity.content]}"
                raise UnusableImage("not_a_mammogram", said)
            if identity.stranger and not self._any_modality:
                said = f"by its header it is {identity.stranger}"
                raise UnusableImage("not_a_mammogram", f"{said}; --any_modality to insist")
            image = image_file.prepare(
                given.path, self._finished.preparation, view=place.view, side=place.side
            )
        except UnusableImage as unusable:
            remedy = f"; {STATE}" if unusable.reason in _UNKNOWN else ""
            error = f"{unusable}{remedy}"
            return Prepared(given, place, identity, origin.medium, None, error)
        copied = self._find_original(given, identity, image)
        return Prepared(given, place, identity, origin.medium, image, "", copied)

    def _find_original(self, given: InputImage, identity: Identity, image: PreparedImage) -> str:
        """Returns the image met before that this is a copy of, "" if there is none.

        Copies are equal in every byte, or of one SOPInstanceUID and equal in every pixel: some
        programs write one UID for all.
        """
        keys = [hashlib.sha256(given.path.read_bytes()).hexdigest()]
        if identity.sop_uid:
            keys.append(f"{identity.sop_uid} {hashlib.sha256(image.pixels.tobytes()).hexdigest()}")
        found = next((self._met[key] for key in keys if key in self._met), "")
        for key in keys:
            self._met.setdefault(key, found or str(given.path))
        return found

    def predict(self, prepared: Prepared, number: int) -> ImagePrediction:
        """Predicts an image; its heat map is named after its number."""
        examined = self.examine(prepared, number)
        if prepared.image is None or examined.error or examined.copy_of:
            return examined
        return self.answer(prepared.image.record, [(examined, prepared, number)])[0]

    def examine(self, prepared: Prepared, number: int) -> ImagePrediction:
        """Compares an image with the training images: all but the prediction."""
        place = prepared.place
        predicted = ImagePrediction(
            image=str(prepared.given.path),
            error=prepared.error,
            exam=place.exam,
            exam_known_by=place.known_by,
            copy_of=prepared.copy_of,
            side=place.side,
            view=place.view,
            kind=prepared.identity.kind,
            intent=prepared.identity.intent,
            discrepancies=prepared.identity.disagreements(side=place.side, view=place.view),
        )
        image = prepared.image
        if image is None or prepared.copy_of:
            return predicted
        height, width = image.pixels.shape
        found = self._finished.compare(image.record, (height, width))
        predicted = dataclasses.replace(
            predicted,
            remarks=image.remarks,
            size=(height, width),
            unlike=(*(found.reasons if found else ()), *self._compare_medium(prepared.medium)),
            distance=found.distance if found else None,
            distance_limit=found.limit if found else None,
            trained_on=self._finished.trained_on(image.record),
            validated_on=self._finished.trained_on(image.record, digests="validation_digests"),
        )
        if number <= PICTURES:
            small = overlay.shrink(image.pixels, overlay.SMALL_SIDE)
            predicted = dataclasses.replace(predicted, pictures=(overlay.data_uri(small),))
        if predicted.unlike and not self._predict_unlike:
            error = f"{'; '.join(predicted.warnings)}; --predict_unlike insists"
            return dataclasses.replace(predicted, error=error)
        return predicted

    def answer(
        self, record: Any, images: Sequence[tuple[ImagePrediction, Prepared, int]]
    ) -> list[ImagePrediction]:
        """Predicts a record, and gives each of its images the answer and its heat map.

        Args:
            record: as the networks take it.
            images: examined, decoded and numbered.
        """
        columns = _columns_of([prepared for _, prepared, _ in images])
        missing = self._finished.not_stated(columns)
        try:
            prediction = self._finished.predict(record, columns)
        except CallerError as error:
            return [dataclasses.replace(one, error=str(error)) for one, *_ in images]
        answered = [
            dataclasses.replace(one, prediction=prediction, not_stated=missing)
            for one, *_ in images
        ]
        if not self._mappers:
            return answered
        called = called_class(prediction, ordinal=self._finished.formatter.ordinal)
        label = heat_map.explained_label(called, self._finished.target.kind)
        batch = network_input.batch_of([record])
        heats = [mapper.draw(batch, [label])[0] for mapper in self._mappers]
        heat = np.mean(heats, axis=0, dtype=np.float32)
        drawn = []
        for one, (_, prepared, number) in zip(answered, images, strict=True):
            assert prepared.image is not None
            of_image = heat[self.views.index(one.view)] if self.views else heat
            drawn.append(self._draw(one, prepared.image, of_image, label, number))
        return drawn

    def _compare_medium(self, medium: str) -> tuple[str, ...]:
        trained = self._finished.medium
        if (medium, trained) not in _FOREIGN:
            return ()
        return (f"it is {_MEDIA[medium]} by its header, they are {_TRAINED[trained]}",)

    def _draw(
        self,
        predicted: ImagePrediction,
        image: PreparedImage,
        heat: heat_map.Heat,
        label: int,
        number: int,
    ) -> ImagePrediction:
        """Draws what speaks for the class explained; adds the pictures."""
        assert self._folder is not None
        assert predicted.prediction is not None
        self._folder.mkdir(exist_ok=True)
        target, formatter = self._finished.target, self._finished.formatter
        heat = np.clip(overlay.warp_to_image(heat, image.matrix, image.pixels.shape), 0, 1)
        path = self._folder / f"{number:04d}.png"
        overlay.write(
            path,
            image.pixels,
            heat,
            name=image.path.name,  # folders may be named after people
            said=formatter.sentence(predicted.prediction),
            of=target.names[label] + " or more" * formatter.ordinal,
        )
        pictures = predicted.pictures
        if pictures and heat.any():  # else it would be the image again
            small = overlay.shrink(image.pixels, overlay.SMALL_SIDE)
            pictures = (*pictures, overlay.data_uri(overlay.blend(small, heat)))
        return dataclasses.replace(
            predicted, heat_map=f"{self._folder.name}/{path.name}", pictures=pictures
        )


def _columns_of(images: Sequence[Prepared]) -> dict[str, str]:
    """Gathers what a network may take beside the pixels: by the table, else the header.

    Of several images it is the highest age and density, and the values of other columns joined.
    """
    known = [vars(one.identity) | vars(one.place) | dict(one.given.columns) for one in images]
    columns = {}
    for name in COLUMNS:
        values = dict.fromkeys(str(one[name]) for one in known if one.get(name))
        columns[name] = max(values, default="") if name == "density" else "+".join(values)
    ages = [read_age(str(one.get("age", ""))) for one in known]
    return columns | {"age": max(filter(None, ages), key=int, default="")}


def predict_all(predictor: Predictor, images: Iterable[InputImage]) -> Iterator[ImagePrediction]:
    """Predicts image after image; images are decoded ahead of the network.

    Args:
        predictor: of a run of images.
        images: as `inputs.find` lists them.
    """
    for number, prepared in enumerate(ahead(predictor.prepare, images), start=1):
        yield predictor.predict(prepared, number)


def ahead(
    prepare: Callable[[InputImage], Prepared], images: Iterable[InputImage]
) -> Iterator[Prepared]:
    """Prepares images in order, a few ahead of their use, in a thread of their own."""
    waiting: collections.deque[Future[Prepared]] = collections.deque()
    with ThreadPoolExecutor(1) as thread:
        for image in images:
            waiting.append(thread.submit(prepare, image))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
