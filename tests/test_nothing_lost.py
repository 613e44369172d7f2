"""No command removes or writes over what it did not write: every verb, among files of others.

Before a call every folder gets files that are nobody's of ours, and pages of earlier calls are
edited; then the bytes of all are looked for.
"""

from __future__ import annotations

import contextlib
import pathlib
import re
import shlex
import shutil

import pytest

from records.errors import CallerError, OutOfTime
from tests import make
from trainer.__main__ import VERBS
from trainer.commands import experiments
from trainer.evaluation import published

FOREIGN = (
    *("mine.txt", "mine.csv", "mine.png", "mine.tmp", "epoch-mine.weights.h5", "mine-lock"),
    *(".mine.swp", ".sources.csv.swp", "mine.tfrecord-notes", "headers.csv"),
)
PAGES = (
    *("report.html", "metrics.json", "calibration.json", "images.json", "comparison.html"),
    *("comparison.json", "study.html", "best.flags", "model_card.md"),
)
"""What an earlier call found; blanks at the end do not matter to whoever reads it."""
STATE = re.compile(
    r"""(.*/)?(
    run\.json|config\.json|export\.json|study\.db          # a run's own, kept up to date
    |history\.csv                                          # rows are added
    |checkpoints/phase\d/(epoch-\d+|unfinished)\.weights\.h5
    |features/\w+/(lock|\w+-\w+\.tfrecord-\d{5}-of-\d{5}-\d+)
    )""",
    re.VERBOSE,
)
SMALL = {**make.TINY, "phase1_epochs": 2, "phase2_epochs": 0, "batch_size": 16}
RECORDS = "out/cbis_ddsm/64x48/plain"
A = {"run": "runs/a"}
AB = {"arguments": ("runs/a", "runs/b")}
CALLS = {
    "train": ({"run_dir": "runs/c", "max_minutes": 1e-6}, {"run_dir": "runs/c"}),
    "evaluate": (None, {**A, "tta": "flip"}),
    "report": (None, A),
    "cross_validate": (
        {"run_dir": "runs/folds", "dataset_dir": f"folds/{RECORDS}"},
        {"run_dir": "runs/folds", "dataset_dir": f"folds/{RECORDS}", "tta": "flip"},
    ),
    "tune": (
        {"run_dir": "runs/search", "space": "space.txt", "trials": 1},
        {"run_dir": "runs/search", "space": "space.txt", "trials": 1},
    ),
    "ensemble": ({**AB, "output_dir": "runs/ab"}, {**AB, "output_dir": "runs/ab", "tta": "flip"}),
    "compare": (AB, AB),
    "explain": ({**A, "worst": 1}, {**A, "worst": 1}),
    "predict": ({**A, "arguments": ("images/image000.pgm",)},) * 2,
    "export": ({**A, "formats": ("card",)},) * 2,
    "experiments": (None, {"flagfiles": "flagfiles", "runs": "runs/experiments"}),
}
"""verb -> flags of a first call, and of one that finds what the first left."""
TRAINING = ("train", "cross_validate", "tune")


def plant(root: pathlib.Path) -> dict[pathlib.Path, bytes]:
    """Puts files into every folder and edits pages; returns all files there are now."""
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        for name in FOREIGN:
            if not (folder / name).exists():
                (folder / name).write_text(f"{folder}'s {name}")
    for path in root.rglob("*"):
        if path.name in PAGES:
            path.write_bytes(path.read_bytes() + b"\n")
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def lost(before: dict[pathlib.Path, bytes], root: pathlib.Path) -> list[str]:
    """Lists files whose bytes are neither there nor beside them, in NAME-1, NAME-2..."""
    return [
        str(path.relative_to(root))
        for path, content in before.items()
        if not STATE.fullmatch(path.relative_to(root).as_posix())
        and not any(
            one.is_file() and one.read_bytes() == content
            for one in (path, *path.parent.glob(f"{path.stem}-*{path.suffix}"))
        )
    ]


def call(verb: str, options: dict[str, object]) -> None:
    """Runs a verb as its command line would; one of training may run out of time."""
    module = VERBS.find(verb)
    assert module is not None
    if verb in TRAINING:
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
        make.convert(
            root / "folds", make.images(24), split_policy="patient", folds=3, test_fraction=0
        )
        (root / "space.txt").write_text("dropout = 0.1 0.2\n")
        call("train", {"run_dir": "runs/a", "phase1_epochs": 1})
        shutil.copytree("runs/a", "runs/b")
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
    assert set(CALLS) == set(VERBS.all())


@pytest.mark.parametrize("verb", CALLS)
def test_a_verb_leaves_what_it_did_not_write(verb, world):
    first, again = CALLS[verb]
    if first is not None:
        call(verb, first)
    before = plant(world)
    call(verb, again)
    assert not lost(before, world)


@pytest.mark.parametrize("verb", ["compare", "explain", "predict"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_holds_other_files_is_refused(verb, overwrite, world):
    (world / "taken").mkdir(exist_ok=True)
    before = plant(world)
    options = {**CALLS[verb][1], "output_dir": "taken", "overwrite": overwrite}
    with pytest.raises(CallerError, match="which this command did not write"):
        call(verb, options)
    assert not lost(before, world)
    assert {path for path in world.rglob("*") if path.is_file()} == set(before)


def test_a_failed_experiment_leaves_the_run_as_it_was(world):
    before = plant(world)
    directory = pathlib.Path("runs/experiments/c")
    error = experiments.run_one(directory, [f"--run_dir={directory}", "--dataset_dir=nowhere"])
    assert error is not None
    assert not lost(before, world)


def convert(*arguments: str) -> None:
    told = ["--table=table.csv", "--data_dir=images", "--output_dir=written", "--sizes=64x48"]
    done = make.program("beam_jobs.tfrecords", "--dataset=table", *told, *arguments)
    assert done.returncode == 0, done.stderr


def test_a_conversion_leaves_what_it_did_not_write(world):
    rows = [f"image{n:03d}.pgm,p{n // 2},{('benign', 'malignant')[n // 2 % 2]}" for n in range(24)]
    (world / "table.csv").write_text("\n".join(["path,patient_id,pathology", *rows]) + "\n")
    arguments = ("--recipe=plain", "--folds=2", "--images_per_shard=4")
    (world / "written" / "table").mkdir(parents=True)
    plant(world / "written")
    convert(*arguments)
    folder = world / "written/table/64x48/plain"
    before = plant(world / "written") | plant(folder / ".shards")
    shard = min(folder.glob("*-of-*"))
    content = before.pop(shard)
    shard.unlink()
    convert(*arguments)
    assert not lost(before, world)
    assert shard.read_bytes() == content
    convert(*arguments, "--split_policy=patient", "--split_seed=5", "--overwrite")
    foreign = {path: content for path, content in before.items() if path.name in FOREIGN}
    assert not lost(foreign, world)
    (world / "key").write_text("0123456789abcdef0123456789abcdef")
    convert(*arguments, "--hash_patients=key", "--overwrite")
    assert not lost(foreign, world)
