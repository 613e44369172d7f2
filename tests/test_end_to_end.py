"""The whole way in an empty folder, with nothing but what a newcomer types."""

import json
import pathlib
import subprocess

from tests import make


def run(*arguments: str, cwd: pathlib.Path) -> subprocess.CompletedProcess:
    done = make.program(*arguments, cwd=cwd, fresh=True)
    assert done.returncode == 0, done.stderr
    return done


def test_images_to_report_without_naming_a_folder(tmp_path):
    made = run(
        "beam_jobs.tfrecords",
        "--phantom_images=48",
        "--phantom_size=2056x640",
        "--sizes=96x64",
        cwd=tmp_path,
    )
    assert "NO REAL IMAGES" in made.stderr
    records = tmp_path / "data/tfrecords/phantom/96x64/paper"
    assert f"{records.relative_to(tmp_path)}: 48 images" in made.stdout
    trained = run(
        "trainer",
        "--base=mobilenet",
        "--alpha=0.25",
        "--weights=random",
        "--phase1_epochs=1",
        "--phase2_epochs=1",
        cwd=tmp_path,
    )
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert run_dir.name.startswith("phantom-96x64-paper-mobilenet-")
    assert f"report: {run_dir / 'report.html'}" in trained.stdout
    description = json.loads((run_dir / "run.json").read_text())
    manifest = json.loads((records / "manifest.json").read_text())
    assert description["synthetic"] is True
    assert description["data_fingerprint"] == manifest["data_fingerprint"]
    counted = sum(split["images"] for split in description["splits"].values())
    assert counted == manifest["totals"]["records"] == 48
