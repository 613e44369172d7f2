"""No command removes or writes over what it did not write: every verb, among files of others.

Before a call every folder gets files that are nobody's of ours, and pages of earlier calls are
edited; then the bytes of all are looked for.
"""

from __future__ import annotations

import contextlib
import pathlib
import shlex
import shutil

import pytest

from records.errors import CallerError, OutOfTime
from tests import make
from trainer.__main__ import VERBS
from trainer.commands import experiments
from trainer.evaluation import published

SMALL = {**make.TINY, "phase1_epochs": 2, "phase2_epochs": 0, "batch_size": 16}
RECORDS = "out/cbis_ddsm/64x48/plain"
A = {"run": "runs/a"}
AB = {"arguments": ("runs/a", "runs/b")}
CALLS = {
    "train": ({"run_dir": "runs/c", "max_minutes": 1e-6}, {"run_dir": "runs/c"}),
    "evaluate": (None, {**A, "tta": "flip"}),
    "report": (None, A),
    "ensemble": (None, {**AB, "output_dir": "runs/ab"}),
    "compare": (AB, AB),
    "explain": ({**A, "worst": 1}, {**A, "worst": 1}),
    "predict": ({**A, "arguments": ("images/image000.pgm",)},) * 2,
    "export": ({**A, "formats": ("card",)},) * 2,
    "experiments": (None, {"flagfiles": "flagfiles", "runs": "runs/experiments"}),
}
"""verb -> flags of a first call, and of one that finds what the first left."""
ELSEWHERE = {"cross_validate", "tune"}
"""Verbs that take long: the tests of their own plant files too."""


def call(verb: str, options: dict[str, object]) -> None:
    """Runs a verb as its command line would; one of training may run out of time."""
    module = VERBS.find(verb)
    assert module is not None
    if verb == "train":
        options = {**SMALL, "dataset_dir": RECORDS, **options}
    with contextlib.suppress(OutOfTime):
        assert module.run(module.Config(**options)) == 0


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder to work in, with records, two finished runs, and experiments."""
    root = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        make.convert(root, make.images(60))
        call("train", {"run_dir": "runs/a", "phase1_epochs": 1})
        for name in ("b", "ab"):
            shutil.copytree("runs/a", f"runs/{name}")
        make.edit_json(root / "runs/ab/config.json", members="runs/a, runs/b")
        (root / "flagfiles").mkdir()
        for name in ("baseline", "c"):
            path = root / "flagfiles" / f"{name}.flags"
            path.write_text("# An experiment.\n# Published accuracy: none\n--dropout=0.2\n")
            run = root / "runs" / "experiments" / name
            shutil.copytree("runs/a", run)
            given = [f"--flagfile=flagfiles/{name}.flags", f"--run_dir=runs/experiments/{name}"]
            (run / published.COMMAND).write_text(shlex.join(given))
        yield root


def test_all_verbs_are_here():
    assert set(CALLS) | ELSEWHERE == set(VERBS.all())
    for verb in ELSEWHERE:
        path = make.ROOT / "tests" / "trainer" / "commands" / f"test_{verb}.py"
        assert "make.plant(" in path.read_text()


@pytest.mark.parametrize("verb", CALLS)
def test_a_verb_leaves_what_it_did_not_write(verb, world):
    first, again = CALLS[verb]
    if first is not None:
        call(verb, first)
    before = make.plant(world)
    call(verb, again)
    assert not make.lost(before, world)


@pytest.mark.parametrize("verb", ["compare", "explain", "predict"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_holds_other_files_is_refused(verb, overwrite, world):
    (world / "taken").mkdir(exist_ok=True)
    before = make.plant(world)
    options = {**CALLS[verb][1], "output_dir": "taken", "overwrite": overwrite}
    with pytest.raises(CallerError, match="which this command did not write"):
        call(verb, options)
    assert not make.lost(before, world)
    assert {path for path in world.rglob("*") if path.is_file()} == set(before)


def test_a_failed_experiment_leaves_the_run_as_it_was(world):
    before = make.plant(world)
    directory = pathlib.Path("runs/experiments/c")
    error = experiments.run_one(directory, [f"--run_dir={directory}", "--dataset_dir=nowhere"])
    assert error is not None
    assert not make.lost(before, world)


def convert(*arguments: str) -> None:
    told = ["--table=table.csv", "--data_dir=images", "--output_dir=written", "--sizes=64x48"]
    done = make.program("beam_jobs.tfrecords", "--dataset=table", *told, *arguments)
    assert done.returncode == 0, done.stderr


def test_a_conversion_leaves_what_it_did_not_write(world):
    labels = ("benign", "malignant")
    rows = [f"image{n:03d}.pgm,p{n // 2},{labels[n // 2 % 2]}\n" for n in range(24)]
    table = world / "images" / "table.csv"
    table.write_text("path,patient_id,pathology\n" + "".join(rows))
    arguments = ("--recipe=plain", "--folds=2", "--images_per_shard=4")
    (world / "written" / "table").mkdir(parents=True)
    make.plant(world / "written")
    convert(*arguments)
    folder = world / "written/table/64x48/plain"
    before = make.plant(world / "written") | make.plant(folder / ".shards")
    shard = min(folder.glob("*-of-*"))
    content = before.pop(shard)
    shard.unlink()
    convert(*arguments)
    assert not make.lost(before, world)
    assert shard.read_bytes() == content
    convert(*arguments, "--split_policy=patient", "--split_seed=5", "--overwrite")
    foreign = {path: content for path, content in before.items() if path.name in make.FOREIGN}
    assert not make.lost(foreign, world)
    (world / "key").write_text("0123456789abcdef0123456789abcdef")
    convert(*arguments, "--hash_patients=key", "--overwrite")
    assert not make.lost(foreign, world)
