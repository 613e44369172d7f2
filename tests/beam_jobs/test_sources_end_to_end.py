"""Data sets other than phantoms through the program as a user runs it, on made images."""

from __future__ import annotations

import csv
import importlib.util
import json
import pathlib

import cv2
import imagecodecs
import numpy as np
import openpyxl
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from beam_jobs.imaging import recipe
from flags import datasets, targets
from records import example, tfrecord
from records.errors import CallerError
from records.image_size import ImageSize
from tests import make
from trainer.data import dataset, records_folder


def convert(dataset: str, data: pathlib.Path, out: pathlib.Path, *more: str):
    return make.program(
        "beam_jobs.tfrecords",
        f"--dataset={dataset}",
        f"--data_dir={data}",
        f"--output_dir={out}",
        "--sizes=16x8",
        "--recipe=plain",
        "--folds=2",
        *more,
    )


def pixels(seed: int, kind: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (20, 12)).astype(kind)


def sources(folder: pathlib.Path) -> list[dict[str, str]]:
    with (folder / "sources.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def check_split_by_patient(rows: list[dict[str, str]]) -> None:
    split_of: dict[str, str] = {}
    for row in rows:
        if row["split"]:
            assert split_of.setdefault(row["patient_id"], row["split"]) == row["split"]


def test_a_table_of_ones_own(tmp_path, write_dicom):
    data = tmp_path / "data"
    lines = ["image;who;breast;cancer"]
    for patient in range(12):
        for side in "LR":
            name = f"images/{patient}{side}.dcm"
            seed = 2 * patient + (side == "R")  # equal images would be copies
            write_dicom(data / name, pixels(seed, np.uint16), patient_id=f"{patient}")
            lines.append(f"{name};{patient};{side};{patient % 2}")
    (data / "list.csv").write_text("\n".join(lines))
    flags = [
        "--columns=path=image,patient_id=who,side=breast,pathology=cancer",
        "--values=side:L=left,side:R=right,pathology:0=benign,pathology:1=malignant",
    ]
    done = convert("table", data, tmp_path / "out", *flags)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out" / "table" / "16x8" / "plain"
    rows = sources(folder)
    assert len(rows) == 24
    assert {row["status"] for row in rows} == {"written"}
    check_split_by_patient(rows)
    found = records_folder.open_records(folder)
    split = dataset.select(found, "train", ["fold0", "fold1"], targets.TARGETS["pathology"])
    assert set(split.labels) == {0, 1}
    assert split.left_out == 0
    assert not (folder / "lesions.csv").exists()
    # what the columns are decides the records: the same folder takes no other mapping
    done = convert(
        "table",
        data,
        tmp_path / "out",
        flags[0],
        flags[1].replace("0=b", "0=malignant,pathology:9=b"),
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "holds records made with other" in done.stderr


def test_bad_rows_in_one_line(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "list.csv").write_text("path,patient_id,pathology\na,1,x\nb,1,z\nc,1,benign\n")
    done = convert("table", data, tmp_path / "out")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "list.csv line 2: pathology 'x' is not one of" in line
    assert "--values=pathology:x=...,pathology:z=... " in line  # y is yes
    assert line.endswith("; and 1 more: line 3")


def test_cmmd(tmp_path, write_dicom):
    data = tmp_path / "data"
    data.mkdir()
    book = openpyxl.Workbook()
    book.active.append(
        ["ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype"]
    )
    for patient in range(10):
        name = f"D1-{patient:04d}"
        label = ("Benign", "Malignant")[patient % 2]
        book.active.append([name, "L", 50, 2, "mass", label, None])
        for number, (side, view) in enumerate(
            [("L", "cranio-caudal"), ("L", "medio-lateral oblique"), ("R", "cranio-caudal")], 1
        ):
            code = Dataset()
            code.CodeMeaning = view
            write_dicom(
                data / "CMMD" / name / "07-18-2010-NA-NA-1" / "1.000000-NA-2" / f"1-{number}.dcm",
                pixels(10 * patient + number),
                bits_stored=8,
                patient_id=name,
                series_uid=f"1.2.{patient}",
                ImageLaterality=side,
                ViewCodeSequence=[code],
            )
    book.save(data / "CMMD_clinicaldata_revision.xlsx")
    done = convert("cmmd", data, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "10 images left out by table: no row for this breast" in done.stdout
    folder = tmp_path / "out" / "cmmd" / "16x8" / "plain"
    rows = sources(folder)
    assert [sum(row["status"] == s for row in rows) for s in ("written", "excluded")] == [20, 10]
    check_split_by_patient(rows)
    totals = json.loads((folder / "manifest.json").read_text())["totals"]
    assert (totals["records"], totals["excluded"], totals["missing"]) == (20, 10, 0)


def load_tests_of(name: str):
    path = pathlib.Path(__file__).parent / "sources" / f"test_{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def jpeg(image: np.ndarray) -> bytes:
    done, data = cv2.imencode(".jpg", image)
    assert done
    return data.tobytes()


@pytest.mark.parametrize("dataset", ["cbis_ddsm", "cbis_ddsm_kaggle"])
def test_cbis_ddsm_with_masks_and_crops(dataset, tmp_path, write_dicom):
    if dataset == "cbis_ddsm_kaggle" and not importlib.util.find_spec("beam_jobs.imaging.raster"):
        pytest.skip("JPEG is not decoded yet")
    made = load_tests_of("cbis_files")
    rows, info = [], []
    for patient in range(8):
        folder = f"Mass-Training_P_{patient:05d}_LEFT_CC"
        rows.append(
            made.row(
                1,
                mask=f"5.{patient}/000001.dcm",
                crop=f"5.{patient}/000000.dcm",
                **{
                    "patient_id": f"P_{patient:05d}",
                    "pathology": ("BENIGN", "MALIGNANT")[patient % 2],
                    "image file path": f"{folder}/9.9/1.{patient}/000000.dcm",
                },
            )
        )
        for series, name, kind, image in (
            (f"1.{patient}", "1-001", "full mammogram images", pixels(patient)),
            (f"5.{patient}", "1-002", "ROI mask images", np.zeros((20, 12), np.uint8)),
            (f"5.{patient}", "2-003", "cropped images", pixels(patient)[:5, :4]),
        ):
            path = tmp_path / "data" / "jpeg" / series / name
            if dataset == "cbis_ddsm":
                tags = {"series_uid": series, "SeriesDescription": kind, "bits_stored": 8}
                write_dicom(path.with_suffix(".dcm"), image, **tags)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".jpg").write_bytes(jpeg(image))
            info.append(
                {
                    "image_path": f"CBIS-DDSM/jpeg/{series}/{name}.jpg",
                    "SeriesInstanceUID": series,
                    "SeriesDescription": kind,
                    "Rows": image.shape[0],
                    "Columns": image.shape[1],
                }
            )
    test = dict(rows[0], patient_id="P_00900")
    test["image file path"] = "Mass-Test_P_00900_LEFT_CC/9.9/1.900/000000.dcm"
    data = made.write_tables(tmp_path / "data", rows)
    with (data / "mass_case_description_test_set.csv").open("a", newline="") as stream:
        csv.DictWriter(stream, made.HEADER).writerow(test)
    if info:
        with (data / "dicom_info.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, info[0].keys())
            writer.writeheader()
            writer.writerows(info)
    done = convert(dataset, data, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out" / dataset / "16x8" / "plain"
    assert sum(row["status"] == "written" for row in sources(folder)) == 8
    with (folder / "lesions.csv").open(newline="") as stream:
        lesions = list(csv.DictReader(stream))
    assert [row["mask_status"] for row in lesions] == ["swapped"] * 8 + ["swapped+unchecked"]


def test_inbreast_has_grades_and_no_pathology(tmp_path, write_dicom):
    data = tmp_path / "data"
    rows = []
    for number in range(30):
        key = f"{number // 2:016x}"
        grade = ("1", "2", "3", "4a", "5")[number // 2 % 5]
        rows.append(f"removed;removed;{'LR'[number % 2]};CC;201001;{20000000 + number};2;{grade}")
        name = f"{20000000 + number}_{key}_MG_{'LR'[number % 2]}_CC_ANON.dcm"
        write_dicom(data / "AllDICOMs" / name, pixels(number, np.uint16), patient_id="removed")
    load_tests_of("inbreast").write_table(data, *rows)
    done = convert("inbreast", data, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "BI-RADS 4a" in done.stdout
    folder = tmp_path / "out" / "inbreast" / "16x8" / "plain"
    check_split_by_patient(sources(folder))
    found = records_folder.open_records(folder)
    assert {image["pathology"] for image in found.images} == {""}
    target = targets.TARGETS[datasets.DATASETS["inbreast"].target]
    split = dataset.select(found, "train", ["fold0", "fold1"], target)
    assert split.describe(target.names).labels.keys() == {"BI-RADS 1-3", "BI-RADS 4-6"}
    assert split.left_out == 0
    assert all(
        label == (image["assessment"] in ("4a", "5"))
        for image, label in zip(split.images, split.labels, strict=True)
    )
    with pytest.raises(CallerError, match="hold 0 with a label and none that is benign"):
        dataset.select(found, "train", ["fold0", "fold1"], targets.TARGETS["pathology"])
    statistics = json.loads((folder / "statistics.json").read_text())
    assert sum(statistics["classes"]["view"]["CC"].values()) == 30
    assert statistics["classes"]["view"]["CC"]["BI-RADS 5"] == 6


@pytest.mark.parametrize("dataset", ["vindr_mammo", "rsna"])
def test_dry_runs(dataset, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    if dataset == "vindr_mammo":
        made = load_tests_of("vindr")
        (data / "breast-level_annotations.csv").write_text(made.BREASTS)
        (data / "finding_annotations.csv").write_text(made.FINDINGS)
        wanted = "test        1 image of     1 patient: 1 BI-RADS 1"
    else:
        made = load_tests_of("rsna")
        row = "2,{n},{n},L,CC,61.0,{cancer},0,0,,0,,29,False\n"
        text = "".join(row.format(n=n, cancer=n % 2) for n in range(40))
        (data / "train.csv").write_text(made.HEADER + text)
        wanted = "40 images listed, 0 found"
    done = convert(dataset, data, tmp_path / "out", "--dry_run")
    assert done.returncode == 0, done.stderr
    assert wanted in done.stdout
    assert (tmp_path / "out" / dataset / "16x8" / "plain" / "plan.json").is_file()


def drawn(seed: int) -> np.ndarray:
    """A breast at the left on air, squeezed to a square: [60, 60] uint8."""
    rows, columns = np.mgrid[:60, :60]
    depth = 1 - ((rows - 30) / 28) ** 2 - (columns / 40) ** 2
    tissue = 30 + 180 * np.clip(depth, 0, 1) + seed
    return np.where(depth > 0, tissue, 2).astype(np.uint8)


def export_rsna(data: pathlib.Path, *, more: str = "", cells=lambda number: "") -> None:
    """Writes RSNA exports of twelve patients; those of odd numbers are negatives."""
    lines = ["patient_id,image_id,laterality,view,cancer,biopsy,BIRADS,density" + more]
    data.mkdir()
    for number in range(12):
        pixels = drawn(number) if number % 2 == 0 else 255 - drawn(number)
        assert cv2.imwrite(str(data / f"{number}_1{number}.png"), pixels)
        lines.append(f"{number},1{number},L,CC,{number % 2},0,,{cells(number)}")
    (data / "train.csv").write_text("\n".join(lines))


def records_of(folder: pathlib.Path) -> dict[str, np.ndarray]:
    found = {}
    for shard in folder.glob("*.tfrecord-*"):
        with shard.open("rb") as file:
            for frame in tfrecord.read_frames(file, shard.stat().st_size):
                columns = example.parse(frame.data)
                pixels = np.frombuffer(columns["image"][0], "<u2")
                found[bytes(columns["image_id"][0]).decode()] = pixels.reshape(16, 8)
    return found


def test_exports_with_negatives(tmp_path):
    export_rsna(tmp_path / "data")
    done = convert("rsna", tmp_path / "data", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "6 images, in sources.csv: polarity: inverted by the pixels" in done.stderr
    folder = tmp_path / "out" / "rsna" / "16x8" / "plain"
    rows = {row["image_id"]: row for row in sources(folder)}
    said = "polarity: inverted by the pixels"
    assert {name for name, row in rows.items() if said in row["discrepancies"]} == {
        f"{number}_1{number}" for number in range(1, 12, 2)
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["invert"], manifest["remarks"]) == ("auto", {said: 6})
    assert make.program("beam_jobs.verify", folder).returncode == 0
    for name, pixels in records_of(folder).items():  # as if none had been a negative
        plain = drawn(int(name.split("_")[0])) * np.uint16(257)
        wanted = recipe.prepare(plain, "plain", ImageSize(16, 8))[:, :, 0]
        np.testing.assert_array_equal(pixels, wanted)
    again = convert("rsna", tmp_path / "data", tmp_path / "out", "--invert=none")
    make.one_line(again, "made with other invert (auto, now none); give another --output_dir")


def test_columns_of_polarity_and_aspect(tmp_path):
    def cells(number: int) -> str:
        return f",{number % 2},{'3:2' if number < 4 else ''}"

    export_rsna(tmp_path / "data", more=",negative,shape", cells=cells)
    flags = ("--invert=negative", "--aspect=shape")
    done = convert("rsna", tmp_path / "data", tmp_path / "out", *flags)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out" / "rsna" / "16x8" / "plain"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["invert"], manifest["aspect"]) == ("negative", "shape")
    assert manifest["remarks"] == {"polarity: inverted by the table": 6}
    for name, pixels in records_of(folder).items():
        plain = drawn(int(name.split("_")[0])) * np.uint16(257)
        if int(name.split("_")[0]) < 4:
            plain = cv2.resize(plain, (60, 90), interpolation=cv2.INTER_LINEAR)
        wanted = recipe.prepare(plain, "plain", ImageSize(16, 8))[:, :, 0]
        np.testing.assert_array_equal(pixels, wanted)
    (tmp_path / "data" / "train.csv").write_text(
        (tmp_path / "data" / "train.csv").read_text().replace(",1,3:2", ",maybe,3 by 2", 1)
    )
    done = convert("rsna", tmp_path / "data", tmp_path / "other", *flags)
    make.one_line(done, "train.csv line 3: negative 'maybe' is not one of yes, no")
    done = convert("rsna", tmp_path / "data", tmp_path / "other", "--invert=nagative")
    make.one_line(done, "train.csv has no column 'nagative'")


def test_a_table_states_polarity_and_aspect(tmp_path):
    export_rsna(tmp_path / "data")
    lines = ["path,patient_id,pathology,turn,hw"]
    lines += [f"{n}_1{n}.png,{n},{n % 2},{'yn'[n % 2 == 0]},5:4" for n in range(12)]
    (tmp_path / "data" / "train.csv").write_text("\n".join(lines))
    flags = ("--invert=turn", "--aspect=hw")
    done = convert("table", tmp_path / "data", tmp_path / "out", *flags)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "out/table/16x8/plain/manifest.json").read_text())
    assert manifest["remarks"] == {"polarity: inverted by the table": 6}
    table = (tmp_path / "data" / "train.csv").read_text().replace("y,5:4", "maybe,tall")
    (tmp_path / "data" / "train.csv").write_text(table)
    done = convert("table", tmp_path / "data", tmp_path / "other", *flags)
    make.one_line(done, "turn 'maybe' is not one of yes, no", "invert:maybe=...", "--invert=none")


@pytest.mark.parametrize("unit", ["image", "breast"])
def test_wavelet_levels_are_never_mixed(unit, tmp_path, write_dicom):
    lines = ["path,patient_id,pathology,side,view"]
    for number in range(16):
        low = np.random.default_rng(number).integers(0, 4096, (12, 6)).astype(np.uint16)
        image = cv2.resize(low, (65, 129), interpolation=cv2.INTER_CUBIC).clip(0, 4095)
        stream = imagecodecs.jpeg2k_encode(
            image, level=0, codecformat="J2K", reversible=True, bitspersample=12
        )
        write_dicom(
            tmp_path / "data" / f"{number}.dcm",
            image,
            bits_stored=12,
            syntax=JPEG2000Lossless,
            PixelData=encapsulate([bytes(stream)]),
            SOPInstanceUID=f"1.2.{number}",
            patient_id=f"p{number // 2}",
        )
        side_view = ("L,CC", "L,MLO")[number % 2]
        lines.append(f"{number}.dcm,p{number // 2},{number // 2 % 2},{side_view}")
    (tmp_path / "data" / "t.csv").write_text("\n".join(lines))
    flags = (f"--unit={unit}", "--decode_scale=auto")
    done = convert("table", tmp_path / "data", tmp_path / "out", *flags)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out" / "table" / "16x8" / ("plain" if unit == "image" else "plain-breast")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["decode_scale"], manifest["decode_at_least"]) == ("auto", "32x16")
    assert "pillow" in manifest["versions"]
    assert make.program("beam_jobs.verify", folder).returncode == 0
    if unit == "image":
        with next(folder.glob("*.tfrecord-*")).open("rb") as file:
            columns = example.parse(tfrecord.read_record(file, 0))
        assert (columns["original_height"], columns["original_width"]) == ([129], [65])
    for other in ("--decode_scale=full", "--sizes=16x8,24x8"):
        again = convert("table", tmp_path / "data", tmp_path / "out", *flags, other)
        make.one_line(again, "made with other decode_", "give another --output_dir", alone=False)
