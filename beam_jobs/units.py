"""Images -> what one record holds: an image, or the views of a breast or of an examination.

images = assign(images, identities, unit="breast", by_study=False)   # unit_id, or why left out
for one in form(images, "breast"): print(one.row.image_id, one.views)
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from beam_jobs.imaging.dicom_file import NOBODY, Identity
from beam_jobs.sources.source_row import SUMMARIES, SourceRow
from records import schema
from records.errors import CallerError

_INTENTS = {"processing": 0, "": 1, "presentation": 2}
_LABELS = "labels: "
"""How the discrepancy begins of a breast whose views have different labels."""


@dataclasses.dataclass(frozen=True)
class Unit:
    """What one record is made of.

    Attributes:
        row: the image, or what the images sum up to under the id of their breast or examination.
        views: image of each view, in the order of `schema.VIEWS`, None where none is listed.
    """

    row: SourceRow
    views: tuple[SourceRow | None, ...]

    @property
    def images(self) -> tuple[SourceRow, ...]:
        """Its images that have a file."""
        return tuple(view for view in self.views if view is not None and view.path)

    def keep(self, written: Collection[str]) -> Unit:
        """Returns a breast or examination with some of its images, by their ids, and no others."""
        views = [view if view and view.image_id in written else None for view in self.views]
        names = [view_of(view, one_side=bool(self.row.side)) for view in views if view]
        return Unit(dataclasses.replace(self.row, view="+".join(names)), tuple(views))

    @property
    def image_ids(self) -> tuple[str, ...]:
        """Name of each view's image, "" where there is none."""
        return tuple(view.image_id if view else "" for view in self.views)


def view_of(image: SourceRow, *, one_side: bool) -> str:
    """Names the view as `schema.VIEWS` does: CC of a breast, L-CC of an examination."""
    return image.view if one_side else f"{image.side[:1].upper()}-{image.view}"


def assign(
    images: Sequence[SourceRow], identities: Mapping[str, Identity], *, unit: str, by_study: bool
) -> list[SourceRow]:
    """Gives images the id of their unit, and leaves out those that are none of its views.

    Of several images of one view one is taken: one with a file before one without, for presentation
    before raw, a standard view before a special one, then the latest by AcquisitionTime and
    InstanceNumber, then the first by name. Splits are inherited, so that folds are those of images;
    where leaks are kept, a patient's training and test images are never of one unit.

    Args:
        images: with splits assigned.
        identities: path -> what its header says.
        unit: a key of `schema.VIEWS`.
        by_study: whether headers tell examinations apart, by their StudyInstanceUID.

    Raises:
        CallerError: a file is of two breasts, or two units have one id.
    """
    if not schema.VIEWS[unit]:
        return list(images)
    placed = list(images)
    unit_ids = _name_units(images, _exams(images, identities, by_study=by_study), unit)
    members: dict[tuple[str, str], list[int]] = collections.defaultdict(list)
    for index, image in enumerate(images):
        reason = "" if image.excluded else _misfit(image, unit)
        if reason:
            placed[index] = _leave_out(image, f"unit={unit}: {reason}")
        elif not image.excluded:
            placed[index] = dataclasses.replace(image, unit_id=unit_ids[index])
            name = view_of(image, one_side=unit == "breast")
            members[unit_ids[index], name].append(index)
    _check_files(placed, members)
    for group in members.values():
        by_name = sorted(group, key=lambda index: images[index].image_id)
        chosen = max(by_name, key=lambda index: _rank(images[index], identities))
        for index in set(group) - {chosen}:
            reason = f"unit={unit}: another image of its view was taken"
            placed[index] = _leave_out(placed[index], reason)
    return _note_disagreements(placed)


def _exams(
    images: Sequence[SourceRow], identities: Mapping[str, Identity], *, by_study: bool
) -> list[str]:
    """Returns the study of each image, else what the source says.

    UIDs that no two images share tell nothing: in CBIS-DDSM each image is a study of its own.
    """
    studies = [identities.get(image.path, NOBODY).study_uid for image in images]
    shared = max(collections.Counter(filter(None, studies)).values(), default=0) > 1
    return [
        study if by_study and shared and study else image.exam
        for image, study in zip(images, studies, strict=True)
    ]


def _name_units(images: Sequence[SourceRow], exams: Sequence[str], unit: str) -> list[str]:
    """Names the unit of each image, whether or not it has a place in it."""
    keys = [
        (image.patient_id, exam, image.side if unit == "breast" else "")
        for image, exam in zip(images, exams, strict=True)
    ]
    tested = {
        key
        for key, image in zip(keys, images, strict=True)
        if image.split == schema.TEST_SPLIT and not image.excluded
    }
    names: list[str] = []
    owners: dict[str, object] = {}
    for key, image in zip(keys, images, strict=True):
        patient, exam, side = key
        leaks = key in tested and image.split != schema.TEST_SPLIT
        name = "_".join(filter(None, (patient, exam, side.upper(), "train" if leaks else "")))
        if owners.setdefault(name, (key, leaks)) != (key, leaks):
            raise CallerError(f"two of the data set would be {unit} {name}; rename patients")
        names.append(name)
    return names


def _misfit(image: SourceRow, unit: str) -> str:
    """Says why an image is none of the views of a unit, "" if it is one."""
    if not image.side:
        return "no side is stated"
    if image.view not in schema.VIEWS["breast"]:
        return f"view {image.view} is none of CC, MLO" if image.view else "no view is stated"
    return ""


def _leave_out(image: SourceRow, reason: str) -> SourceRow:
    return dataclasses.replace(image, split="", excluded=reason)


def _check_files(
    images: Sequence[SourceRow], members: Mapping[tuple[str, str], Sequence[int]]
) -> None:
    """Refuses a file that is two views."""
    places: dict[str, tuple[str, str]] = {}
    for place, group in members.items():
        for path in filter(None, (images[index].path for index in group)):
            if (first := places.setdefault(path, place)) != place:
                raise CallerError(
                    f"{path} is {first[1]} of {first[0]} and {place[1]} of {place[0]}; an image "
                    "is of one breast: correct the table"
                )


def _rank(image: SourceRow, identities: Mapping[str, Identity]) -> tuple[bool, int, bool, str]:
    """Says how well an image stands for its view; the highest does."""
    acquired = identities.get(image.path, NOBODY).acquired
    return bool(image.path), _INTENTS[image.intent], not image.kind, acquired


def _note_disagreements(images: Sequence[SourceRow]) -> list[SourceRow]:
    """Notes on each image of a breast that not all of them have the same label."""
    breasts: dict[tuple[str, str], list[SourceRow]] = collections.defaultdict(list)
    for image in images:
        if image.unit_id and (image.pathology or image.assessment):
            breasts[image.unit_id, image.side].append(image)
    differing = {
        breast: _LABELS + ", ".join(f"{one.side} {one.view} {one.label}" for one in members)
        for breast, members in breasts.items()
        if len({one.label for one in members}) > 1
    }
    return [
        image.with_remarks([said])
        if (said := differing.get((image.unit_id, image.side)))
        else image
        for image in images
    ]


def form(images: Iterable[SourceRow], unit: str) -> list[Unit]:
    """Gathers images by their unit; one is a unit of its own unless they were assigned to others.

    The label of a breast or examination is the worst of all images of its views, whether or not
    they were taken, have a file, or can be decoded.
    """
    if not schema.VIEWS[unit]:
        return [Unit(image, (image,)) for image in images]
    members: dict[str, list[SourceRow]] = collections.defaultdict(list)
    for image in images:
        if image.unit_id:
            members[image.unit_id].append(image)
    return [_form_one(name, group, unit) for name, group in members.items()]


def _form_one(name: str, members: Sequence[SourceRow], unit: str) -> Unit:
    one_side = unit == "breast"
    taken = [image for image in members if not image.excluded]
    by_view = {view_of(image, one_side=one_side): image for image in taken}
    said = [part for image in members for part in image.discrepancies.split("; ")]
    official = {part for image in members for part in image.official_split.split("+") if part}
    summed: dict[str, Any] = {
        feature.key: SUMMARIES[feature.of_lesions](
            [part for image in members for part in _parts(image, feature)]
        )
        for feature in schema.FEATURES
        if feature.of_lesions
    }
    row = SourceRow(
        image_id=name,
        patient_id=members[0].patient_id,
        side=members[0].side if one_side else "",
        view="",
        density=max(image.density for image in members),
        age=max((image.age for image in members), key=lambda age: int(age or 0)),
        official_split="+".join(sorted(official, reverse=True)),
        abnormalities=max(image.abnormalities for image in members),
        split=taken[0].split,
        discrepancies="; ".join(dict.fromkeys(s for s in said if s.startswith(_LABELS))),
        modality=SUMMARIES["joined"]([image.modality for image in taken]),
        intent=SUMMARIES["joined"]([image.intent for image in taken]),
        kind=SUMMARIES["joined"]([part for image in taken for part in image.kind.split("+")]),
        **summed,
    )
    whole = Unit(row, tuple(map(by_view.get, schema.VIEWS[unit])))
    return dataclasses.replace(whole, row=whole.keep(whole.image_ids).row)


def _parts(image: SourceRow, feature: schema.Feature) -> list[str]:
    text = str(getattr(image, feature.key))
    return text.split("+") if feature.of_lesions == "joined" else [text]


def summarise(units: Sequence[Unit]) -> dict[str, Any]:
    """Counts breasts or examinations by the views listed, and those whose labels disagree."""
    views = collections.Counter(one.row.view for one in units)
    return {
        "listed": len(units),
        "views": dict(sorted(views.items(), key=lambda item: (-len(item[0]), item[0]))),
        "labels_disagree": sum(bool(one.row.discrepancies) for one in units),
    }


def rows(units: Iterable[Unit], rejected: Mapping[str, str]) -> list[dict[str, str]]:
    """Makes the rows of units.csv, by `schema.UNITS_HEADER`.

    Args:
        units: breasts or examinations.
        rejected: image_id -> reason.
    """
    made = []
    for one in units:
        written = {image.image_id for image in one.images} - rejected.keys()
        reasons = dict.fromkeys(rejected[image.image_id] for image in one.images if not written)
        status, reason = (
            ("rejected", "+".join(reasons)) if reasons else ("missing", "no file found")
        )
        kept = one.keep(written)
        made.append(
            {
                **{key: str(value) for key, value in kept.row.clinical().items()},
                "status": "written" if written else status,
                "reason": "" if written else reason,
                "split": kept.row.split,
                "image_ids": ";".join(kept.image_ids),
                "discrepancies": kept.row.discrepancies,
            }
        )
    return made
