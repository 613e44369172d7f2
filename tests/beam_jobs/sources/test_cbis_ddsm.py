"""Tests of CBIS-DDSM on its official tables, and on small tables with something wrong."""

from __future__ import annotations

import collections
import csv
import pathlib
import shutil

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from beam_jobs import splits
from beam_jobs.sources import cbis_ddsm
from beam_jobs.sources.source_options import SourceOptions
from flags import datasets
from records.errors import CallerError

IMAGE = np.arange(6, dtype=np.uint16).reshape(2, 3)
NAMES = [name for name, _ in cbis_ddsm.TABLES]


def read(folder: pathlib.Path, tmp_path: pathlib.Path, label_policy: str = "any_malignant", **how):
    return cbis_ddsm.read(
        folder,
        SourceOptions(label_policy=label_policy, cache=tmp_path / "cache" / "headers.csv", **how),
    )


def raw_rows(folder: pathlib.Path, split: str) -> list[dict[str, str]]:
    """Rows of the calc, then of the mass table, as the csv module reads them."""
    rows = []
    for kind in ("calc", "mass"):
        path = folder / f"{kind}_case_description_{split}_set.csv"
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows += [{k: v.strip() for k, v in row.items()} for row in csv.DictReader(file)]
    return rows


def labels_by_series(rows: list[dict[str, str]]) -> dict[str, set[str]]:
    series = collections.defaultdict(set)
    for row in rows:
        label = "malignant" if row["pathology"] == "MALIGNANT" else "benign"
        series[row["image file path"].split("/")[2]].add(label)
    return series


def series_of(rows: list[dict[str, str]]) -> dict[str, str]:
    """Series -> image folder."""
    return {
        row["image file path"].split("/")[2]: row["image file path"].split("/")[0] for row in rows
    }


@pytest.fixture(scope="module")
def merged(official_tables, tmp_path_factory):
    return read(official_tables, tmp_path_factory.mktemp("cbis"))


@pytest.fixture(scope="module")
def published(official_tables, tmp_path_factory):
    return read(official_tables, tmp_path_factory.mktemp("cbis"), "paper")


def test_counts(merged):
    assert len(merged) == datasets.DATASETS["cbis_ddsm"].images == 3032
    assert len({image.image_id for image in merged}) == 3032
    patients = {image.patient_id for image in merged}
    assert len(patients) == datasets.DATASETS["cbis_ddsm"].patients == 1566
    assert sum(";" in image.copies for image in merged) == 71
    assert sum(image.abnormalities for image in merged) == 2864 + 704
    assert collections.Counter(image.official_split for image in merged)["train+test"] == 29
    assert {image.side for image in merged} == {"left", "right"}
    assert {image.view for image in merged} == {"CC", "MLO"}
    assert not any(image.excluded or image.path for image in merged)


def test_images_are_views_and_malignant_if_any_row_is(merged, official_tables):
    views = collections.defaultdict(list)
    for row in raw_rows(official_tables, "train") + raw_rows(official_tables, "test"):
        key = f"{row['patient_id']}_{row['left or right breast']}_{row['image view']}"
        views[key].append(row)
    assert {image.image_id for image in merged} == views.keys()
    for image in merged:
        rows = views[image.image_id]
        malignant = any(row["pathology"] == "MALIGNANT" for row in rows)
        assert image.pathology == ("malignant" if malignant else "benign")
        assert image.abnormalities == len(rows)
        assert image.assessment == max(row["assessment"] for row in rows)
        densities = {row.get("breast_density", row.get("breast density")) for row in rows}
        assert image.density == max(densities).replace("0", "")
        assert set(image.copies.split(";")) == {
            row["image file path"].split("/")[0] for row in rows
        }


def test_one_image_in_full(merged):
    image = next(image for image in merged if image.image_id == "P_00001_LEFT_CC")
    assert image.clinical() == {
        "image_id": "P_00001_LEFT_CC",
        "patient_id": "P_00001",
        "side": "left",
        "view": "CC",
        "pathology": "malignant",
        "abnormality": "mass",
        "density": "3",
        "assessment": "4",
        "subtlety": "4",
        "mass_shape": "IRREGULAR-ARCHITECTURAL_DISTORTION",
        "mass_margins": "SPICULATED",
        "calc_type": "",
        "calc_distribution": "",
        "official_split": "train",
        "abnormalities": 1,
        **dict.fromkeys(("modality", "intent", "kind", "age"), ""),  # the header's, read later
    }


def test_nothing_not_available_is_kept(merged):
    for image in merged:
        assert "N/A" not in str(image)
        assert image.subtlety != "0"
        assert image.density != "0"


def test_paper_policy_counts(published):
    assert len(published) == 3103
    assert sum(bool(image.excluded) for image in published) == 17
    kept = [image for image in published if not image.excluded]
    counts = collections.Counter((image.official_split, image.pathology) for image in kept)
    assert counts == {
        ("train", "benign"): 1347,
        ("train", "malignant"): 1098,
        ("test", "benign"): 381,
        ("test", "malignant"): 260,
    }
    assert len({image.image_id for image in published}) == 3103


def test_published_protocol_is_exact(published, official_tables):
    """The authors' validation set, drawn here straight from the tables."""
    rows = raw_rows(official_tables, "train")
    series = {uid: next(iter(s)) for uid, s in labels_by_series(rows).items() if len(s) == 1}
    assert len(series) == 2445
    train, validation = train_test_split(
        list(series), test_size=0.25, stratify=list(series.values()), random_state=111
    )
    folder_of = series_of(rows)
    images = splits.assign(
        published,
        split_policy="image",
        leak_policy="keep",
        folds=4,
        test_fraction=0.2,
        seed=111,
    )
    by_split = collections.defaultdict(set)
    for image in images:
        by_split[image.split].add(image.image_id)
    assert by_split["fold0"] == {folder_of[uid] for uid in validation}
    others = by_split["fold1"] | by_split["fold2"] | by_split["fold3"]
    assert others == {folder_of[uid] for uid in train}
    assert (len(others), len(by_split["fold0"]), len(by_split["test"])) == (1833, 612, 641)
    labels = collections.Counter(f.pathology for f in images if f.split == "fold0")
    assert labels == {"benign": 337, "malignant": 275}


def test_default_protocol_drops_leaked_patients(merged, official_tables):
    in_train = {row["patient_id"] for row in raw_rows(official_tables, "train")}
    in_test = {row["patient_id"] for row in raw_rows(official_tables, "test")}
    leaked = in_train & in_test
    assert len(leaked) == 31
    assert splits.find_leaked_patients(merged) == sorted(leaked)
    images = splits.assign(
        merged,
        split_policy="official",
        leak_policy="drop_from_train",
        folds=4,
        test_fraction=0.2,
        seed=111,
    )
    dropped = {image.patient_id for image in images if image.excluded}
    assert dropped <= leaked
    for image in images:
        if image.patient_id in leaked:
            assert image.split in ("", "test")
        assert (image.split == "test") == ("test" in image.official_split)
    groups = collections.defaultdict(set)
    for image in images:
        if image.split:
            groups[image.patient_id].add(image.split)
    assert all(len(found) == 1 for found in groups.values())


# a data set of two patients: three images in the mass tables, one in a calc table
COLUMNS = [
    "patient_id",
    "breast_density",
    "left or right breast",
    "image view",
    "abnormality id",
    "abnormality type",
    "mass shape",
    "mass margins",
    "assessment",
    "pathology",
    "subtlety",
    "image file path",
]


def row(folder: str, series: str, **changes: str) -> dict[str, str]:
    _, _, number, side, view = folder.split("_")
    kind = "mass" if folder.startswith("Mass") else "calcification"
    plain = dict(
        zip(
            COLUMNS,
            f"P_{number},2,{side},{view},1,{kind},OVAL,N/A,4,BENIGN,3,"
            f"{folder}/9.9/{series}/000000.dcm".split(","),
            strict=True,
        )
    )
    return {**plain, **changes}


def tables() -> dict[str, list[dict[str, str]]]:
    return {
        "calc_case_description_train_set.csv": [row("Calc-Training_P_00001_LEFT_CC", "1.1")],
        "mass_case_description_train_set.csv": [row("Mass-Training_P_00001_LEFT_MLO", "1.2")],
        "calc_case_description_test_set.csv": [row("Calc-Test_P_00002_LEFT_CC", "1.3")],
        "mass_case_description_test_set.csv": [
            row("Mass-Test_P_00002_RIGHT_CC", "1.4", pathology="MALIGNANT")
        ],
    }


def write_tables(folder: pathlib.Path, content: dict[str, list[dict[str, str]]]) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in content.items():
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0].keys() if rows else COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    return folder


@pytest.fixture
def data(tmp_path) -> pathlib.Path:
    return write_tables(tmp_path / "data", tables())


def paths(images) -> dict[str, str]:
    return {image.image_id: image.path for image in images}


IDS = ["P_00001_LEFT_CC", "P_00001_LEFT_MLO", "P_00002_LEFT_CC", "P_00002_RIGHT_CC"]


def test_match_by_series_whatever_the_names(data, tmp_path, write_dicom):
    write_dicom(data / "1-1.dcm", IMAGE, series_uid="1.3", patient_id="SMITH")
    write_dicom(data / "x" / "1-1.dcm", IMAGE, series_uid="1.1", patient_id=None)
    write_dicom(data / "x" / "image", IMAGE, series_uid="1.4", patient_id=None)
    # another image's folder does not matter where a series is stated
    write_dicom(data / "Mass-Test_P_00002_RIGHT_CC" / "IM7.DCM", IMAGE, series_uid="1.2")
    images = read(data, tmp_path)
    assert paths(images) == dict(
        zip(
            IDS,
            ["x/1-1.dcm", "Mass-Test_P_00002_RIGHT_CC/IM7.DCM", "1-1.dcm", "x/image"],
            strict=True,
        )
    )
    assert images[0].bytes == (data / "x" / "1-1.dcm").stat().st_size
    assert "SMITH" not in (tmp_path / "cache" / "headers.csv").read_text()


def test_match_by_folder_without_series(data, tmp_path, write_dicom):
    folder = data / "CBIS-DDSM" / "Calc-Training_P_00001_LEFT_CC" / "07-20-2016" / "1.000-full"
    write_dicom(folder / "1-1.dcm", IMAGE, series_uid=None, patient_id=None)
    write_dicom(data / "9.9" / "1.4" / "1-1.dcm", IMAGE, series_uid=None, patient_id=None)
    got = paths(read(data, tmp_path))
    assert got[IDS[0]].startswith("CBIS-DDSM/Calc-Training_P_00001_LEFT_CC/")
    assert got[IDS[3]] == "9.9/1.4/1-1.dcm"
    assert got[IDS[1]] == got[IDS[2]] == ""


def test_match_by_patient_without_series_and_folder(data, tmp_path, write_dicom):
    write_dicom(data / "a.dcm", IMAGE, series_uid=None, patient_id="Mass-Training_P_00001_LEFT_MLO")
    write_dicom(data / "b.dcm", IMAGE, series_uid=None, patient_id="P_00002")
    got = paths(read(data, tmp_path))
    assert got == dict(zip(IDS, ["", "a.dcm", "", ""], strict=True))


def test_crops_and_masks_are_not_images(data, tmp_path, write_dicom):
    for number, series in enumerate(("5.1", "5.2")):
        write_dicom(
            data / "Calc-Training_P_00001_LEFT_CC_1" / f"1-{number}.dcm",
            IMAGE,
            series_uid=series,
            patient_id="Calc-Training_P_00001_LEFT_CC_1",
        )
        write_dicom(
            data / "Calc-Training_P_00001_LEFT_CC" / f"1-{number}.dcm",
            IMAGE,
            series_uid=series,
            patient_id="Calc-Training_P_00001_LEFT_CC",
        )
    write_dicom(
        data / "Calc-Training_P_00001_LEFT_CC_1" / "1-3.dcm",
        IMAGE,
        series_uid=None,
        patient_id="Calc-Training_P_00001_LEFT_CC_1",
    )
    assert not any(paths(read(data, tmp_path)).values())


def test_real_images_are_found(official_tables, cbis_images, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(official_tables, data)
    (data / "images").symlink_to(cbis_images)
    found = {image.image_id: image for image in read(data, tmp_path) if image.path}
    assert sorted(found) == [
        f"P_{patient}_{side}_{view}"
        for patient in ("00173", "00820")
        for side in ("LEFT", "RIGHT")
        for view in ("CC", "MLO")
    ]
    assert found["P_00820_RIGHT_CC"].path == "images/sfm-malign-0/1-282.dcm"
    assert found["P_00820_RIGHT_CC"].pathology == "benign"
    assert {image.official_split for image in found.values()} == {"test"}


def test_tables_may_lie_anywhere_and_twice(data, tmp_path):
    (data / "tables").mkdir()
    for name in NAMES:
        shutil.copy(data / name, data / "tables" / name)
    (data / NAMES[0]).unlink()
    assert len(read(data, tmp_path)) == 4


def test_different_tables_of_one_name(data, tmp_path):
    (data / "more").mkdir()
    (data / "more" / NAMES[1]).write_text("x")
    with pytest.raises(CallerError, match=f"different files named {NAMES[1]}: .*more/{NAMES[1]}"):
        read(data, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_missing_table(name, data, tmp_path):
    (data / name).unlink()
    with pytest.raises(CallerError, match=f"holds no {name}; put the four case tables"):
        read(data, tmp_path)


@pytest.mark.parametrize(
    "column", [c for c in COLUMNS if c not in ("abnormality id", "mass shape", "mass margins")]
)
def test_missing_column(column, data, tmp_path):
    content = tables()
    for rows in content[NAMES[3]]:
        del rows[column]
    write_tables(data, content)
    wanted = "breast_density.* or .*breast density" if column == "breast_density" else column
    with pytest.raises(CallerError, match=f"{NAMES[3]} .*no column '{wanted}'"):
        read(data, tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("pathology", "UNKNOWN", "pathology 'UNKNOWN' is not one of BENIGN, BENIGN_WITHOUT"),
        ("pathology", "", "pathology '' is not one of"),
        ("image view", "XCCL", "image view 'XCCL' is not one of CC, MLO"),
        ("left or right breast", "L", "left or right breast 'L' is not one of LEFT, RIGHT"),
        ("assessment", "6", "assessment '6' is not one of 0, 1"),
        ("assessment", "", "assessment '' is not one of"),
        ("subtlety", "9", "subtlety '9' is not one of"),
        ("breast_density", "x", "breast density 'x' is not 0 to 5"),
        ("abnormality type", "cyst", "abnormality type 'cyst' is not one of calc"),
        ("image file path", "a/b/c", "image file path is not <image>/<study>/<series>/<file>"),
        ("image file path", "", "image file path is not"),
        ("patient_id", "", "no patient_id"),
    ],
)
def test_bad_value(column, value, message, data, tmp_path):
    content = tables()
    content[NAMES[1]].append(row("Mass-Training_P_00003_LEFT_CC", "1.9", **{column: value}))
    write_tables(data, content)
    with pytest.raises(CallerError, match=f"{NAMES[1]} line 3: .*{message}"):
        read(data, tmp_path)


def test_short_record(data, tmp_path):
    with (data / NAMES[2]).open("a") as file:
        file.write("P_00003,2,LEFT\n")
    with pytest.raises(CallerError, match=f"{NAMES[2]} line 3: "):
        read(data, tmp_path)


def test_record_without_its_last_fields_that_are_not_needed(data, tmp_path):
    text = (data / NAMES[0]).read_text().splitlines()
    text[0] += ",cropped image file path,ROI mask file path"
    (data / NAMES[0]).write_text("\n".join(text))
    assert len(read(data, tmp_path)) == 4


def test_long_record(data, tmp_path):
    text = (data / NAMES[0]).read_text().rstrip()
    (data / NAMES[0]).write_text(f"{text},more,and more\n")
    assert len(read(data, tmp_path)) == 4


def test_values_are_stripped(data, tmp_path):
    content = tables()
    first = content[NAMES[0]][0]
    content[NAMES[0]] = [{key: f" {value}\n" for key, value in first.items()}]
    write_tables(data, content)
    # header cells as they are: only values are stripped
    assert read(data, tmp_path)[0].image_id == IDS[0]


def test_extra_columns_and_byte_order_mark(data, tmp_path):
    content = tables()
    for rows in content.values():
        for entry in rows:
            entry["remarks"] = "é"
    write_tables(data, content)
    for name in NAMES:
        path = data / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [image.image_id for image in read(data, tmp_path)] == IDS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"has no column 'patient_id', .*its header is empty"),
        (b"\xff\xfep\0a\0t\0", "has no column"),
        (b'patient_id,"image\nP_1,2', "is not a CSV table"),
        (b"PK\x03\x04" + bytes(30), "is not an Excel workbook"),
    ],
    ids=["empty", "utf16", "open_quote", "zip"],
)
def test_what_is_no_table(content, message, data, tmp_path):
    (data / NAMES[0]).write_bytes(content)
    with pytest.raises(CallerError, match=f"{NAMES[0]} ({message})"):
        read(data, tmp_path)


def test_a_lost_quote_does_not_swallow_records(data, tmp_path):
    text = (data / NAMES[0]).read_text()
    header, record = text.splitlines()
    damaged = record.replace(",OVAL,", ',"OVAL,')
    (data / NAMES[0]).write_text(f"{header}\n{damaged}\n{record}\n{record}\n")
    with pytest.raises(CallerError, match=NAMES[0]):
        read(data, tmp_path)


def test_tables_without_records(data, tmp_path):
    write_tables(data, {NAMES[0]: []})
    assert [image.image_id for image in read(data, tmp_path)] == IDS[1:]
    write_tables(data, {name: [] for name in NAMES})
    with pytest.raises(CallerError, match="0 images can't be split"):
        splits.assign(
            read(data, tmp_path),
            split_policy="official",
            leak_policy="drop_from_train",
            folds=4,
            test_fraction=0.2,
            seed=1,
        )


def test_tables_of_another_data_set(data, tmp_path):
    content = tables()
    content[NAMES[3]].append(row("Mass-Test_P_00009_LEFT_CC", "1.8", patient_id="PHANTOM_00009"))
    write_tables(data, content)
    with pytest.raises(CallerError, match=r"PHANTOM_00009 is not named P_.*another --dataset"):
        read(data, tmp_path)
    with pytest.raises(CallerError, match="P_00001 is not named PHANTOM_"):
        read(data, tmp_path, patient_prefix="PHANTOM_")


def test_copies_of_a_view_are_one_image(data, tmp_path, write_dicom):
    content = tables()
    content[NAMES[1]].append(
        row("Mass-Training_P_00001_LEFT_CC", "1.7", pathology="MALIGNANT", breast_density="4")
    )
    write_tables(data, content)
    write_dicom(data / "second.dcm", IMAGE, series_uid="1.7")
    image = read(data, tmp_path)[0]
    assert image.copies == "Calc-Training_P_00001_LEFT_CC;Mass-Training_P_00001_LEFT_CC"
    assert (image.pathology, image.density, image.path) == ("malignant", "4", "second.dcm")
    assert image.abnormality == "calcification+mass"
    published = read(data, tmp_path, "paper")
    assert len(published) == 5
    assert [image.image_id for image in published if image.path] == [
        "Mass-Training_P_00001_LEFT_CC"
    ]
    assert not any(image.excluded for image in published)
