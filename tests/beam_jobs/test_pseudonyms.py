"""Nothing of a header that names a person gets out, and hashed names stay hashed."""

import csv
import hashlib
import hmac
import json
import os
import pathlib
import re
import subprocess
import sys

import pydicom
import pytest

from beam_jobs import pseudonyms
from beam_jobs.sources import phantom
from beam_jobs.sources.phantom_image import Sample
from records.errors import CallerError
from tests import make

ROOT = pathlib.Path(__file__).parents[2]
# each value is found by its first word, in whatever encoding
PLANTED = {
    "PatientName": "Quillfeather^Zebedee",
    "PatientBirthDate": "19310217",
    "PatientAddress": "Wobblegate 99",
    "PatientTelephoneNumbers": "5550147733",
    "OtherPatientIDs": "Otherid88",
    "PatientComments": "Commentville",
    "InstitutionName": "Hospital Xanadu",
    "InstitutionAddress": "Avenuexyz 1",
    "InstitutionalDepartmentName": "Departmentq",
    "OperatorsName": "Operatrix^Olga",
    "PerformingPhysicianName": "Physicianus^Phil",
    "ReferringPhysicianName": "Referrix^Rex",
    "AccessionNumber": "ACC7731945",
    "StudyID": "STU7731945",
    "StudyDescription": "Descriptum",
    "SeriesDescription": "Seriesdescriptum",
    "StationName": "Stationary7",
    "DeviceSerialNumber": "SER7731945",
}
PRIVATE = "Privatissimo"


def needles() -> list[bytes]:
    words = [re.split(r"[\^ ]", value)[0] for value in PLANTED.values()] + [PRIVATE]
    return [word.encode(encoding) for word in words for encoding in ("utf-8", "utf-16-le")]


def plant(path: pathlib.Path, number: int) -> None:
    """Names a person in every place, and damages some images in ways that make readers talk."""
    image = pydicom.dcmread(path)
    for keyword, value in PLANTED.items():
        setattr(image, keyword, value)
    image.PatientID = "IDquillfeather77"
    block = image.private_block(0x0011, PRIVATE, create=True)
    block.add_new(0x01, "LO", PRIVATE)
    if number == 1:
        image.PhotometricInterpretation = "Quillfeather"
    if number == 2:
        image.PatientAge = "Quillfeather1931"  # no age: pydicom would warn, and quote it
        image.WindowCenter = None
    image.save_as(path)
    data = path.read_bytes()
    if number == 3:
        path.write_bytes(data[: len(data) // 2])
    if number == 4:
        path.write_bytes(data[:128] + b"DICM" + b"Quillfeather^Zebedee" * 50)
    if number == 5:  # a transfer syntax that is somebody's name
        path.write_bytes(data.replace(b"1.2.840.10008.1.2.1\0", b"Quillfeather^Zebede\0", 1))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data") / "phantom"
    phantom.make(directory, Sample(images=24, height=2056, width=640))
    for number, path in enumerate(sorted(directory.rglob("*.dcm"))):
        plant(path, number)
    planted = b"".join(path.read_bytes() for path in directory.rglob("*.dcm"))
    assert all(needle in planted for needle in needles() if b"\0" not in needle)
    return directory


def convert(images, output_dir, *more: str) -> subprocess.CompletedProcess:
    return make.program(
        *("beam_jobs.tfrecords", "--dataset=phantom", f"--data_dir={images}"),
        *(f"--output_dir={output_dir}", "--sizes=96x64", "--phantom_images=24"),
        *("--phantom_size=2056x640", "--recipe=plain", *more),
        text=False,
    )


def everything(run: subprocess.CompletedProcess, output_dir: pathlib.Path) -> dict[str, bytes]:
    """All that came out: files with their names, and what was said."""
    found = {
        str(path.relative_to(output_dir)): path.read_bytes()
        for path in output_dir.rglob("*")
        if path.is_file()
    }
    return {**found, "names": "\n".join(found).encode(), "out": run.stdout, "err": run.stderr}


def test_no_person_gets_out(images, tmp_path):
    run = convert(images, tmp_path, "--max_rejected=1")
    assert run.returncode == 0, run.stderr
    assert b"rejected: 1 truncated" in run.stderr
    found = everything(run, tmp_path)
    assert any("tfrecord" in name for name in found)
    leaks = {
        (name, needle)
        for name, data in found.items()
        for needle in [*needles(), b"IDquillfeather77", b"uillfeather"]
        if needle in data
    }
    assert not leaks


def test_hashed_names_stay_hashed(images, tmp_path):
    key = tmp_path / "key"
    key.write_text("correct horse battery staple\n")
    output_dir = tmp_path / "out"
    cache = output_dir / "phantom" / "headers.csv"  # of an earlier job, without hashes
    cache.parent.mkdir(parents=True)
    cache.write_text("path,bytes,modified_ns\nPHANTOM_00001")
    run = convert(images, output_dir, "--max_rejected=1", f"--hash_patients={key}")
    assert run.returncode == 0, run.stderr
    found = everything(run, output_dir)
    names = re.compile(rb"PHANTOM_\d|phantom_\d|1-1\.dcm|correct horse")
    assert not {name: match[0] for name, data in found.items() if (match := names.search(data))}

    plain_dir = tmp_path / "plain"
    assert convert(images, plain_dir, "--max_rejected=1").returncode == 0

    def rows(directory: pathlib.Path) -> list[dict[str, str]]:
        with (directory / "phantom" / "96x64" / "plain" / "sources.csv").open() as file:
            return list(csv.DictReader(file))

    def hashed(text: str) -> str:
        digest = hmac.new(b"correct horse battery staple", text.encode(), hashlib.sha256)
        return digest.hexdigest()[:16]

    job = json.loads(found["phantom/96x64/plain/.shards/job.json"])
    assert job["hash_patients"] == hashed("fingerprint of the key")  # another key: another job

    same = ("status", "reason", "split", "side", "view", "pathology", "density")
    for secret, plain in zip(rows(output_dir), rows(plain_dir), strict=True):
        assert [secret[column] for column in same] == [plain[column] for column in same]
        for column in ("image_id", "patient_id", "path"):
            assert secret[column] == hashed(plain[column])


def test_leaked_patients_are_named_by_their_hashes(official_tables, tmp_path):
    key = tmp_path / "key"
    key.write_text("correct horse battery staple")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "beam_jobs.tfrecords", "--dataset=cbis_ddsm", "--dry_run"),
            *(f"--data_dir={official_tables}", f"--output_dir={tmp_path / 'out'}"),
            *("--leak_policy=fail", f"--hash_patients={key}"),
        ],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert run.returncode == 2
    assert "31 patients in both official sets" in run.stderr
    assert "P_0" not in run.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, r"No such file.*head -c 32"), ("short\n", r"holds 5 bytes, a key has at least 16")],
    ids=["missing", "short"],
)
def test_a_key_that_keeps_no_secret_is_refused(tmp_path, content, said):
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CallerError, match=said):
        pseudonyms.read_pseudonyms(path)


def test_no_name_has_no_hash():
    assert pseudonyms.Pseudonyms(b"k" * 16).of("") == ""
