"""The comparison of experiments: what it reads, what it says, and how the runs are run."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from flags.errors import CallerError
from trainer import compare, experiments, metrics, predictions
from trainer.predictions import Prediction

ROOT = pathlib.Path(__file__).parents[2]
HEAD = """# Experiment {letter} (Jaamour et al. 2023, PLOS ONE): MobileNetV2 with <weights>. More.
# Published accuracy: {published}
--dropout=0.2
"""
PAPER = {"label_policy": "paper", "split_policy": "image", "leak_policy": "keep"}
OURS = {"label_policy": "any_malignant", "split_policy": "official", "leak_policy": "fail"}


def make_run(root: pathlib.Path, name: str, answers: list[float], **run: object) -> None:
    """A finished run on ten films, five of them malignant; `answers` are its probabilities."""
    films = [
        Prediction(f"film{number}", f"patient{number // 2}", number % 2, answer, split="test")
        for number, answer in enumerate(answers)
    ]
    (root / name).mkdir(parents=True)
    predictions.write(root / name / "predictions.csv", films)
    scores = metrics.score(films, split="test", label_names=("benign", "malignant"), resamples=50)
    description = {
        "synthetic": False,
        "target": "pathology",
        "policies": OURS,
        "minutes": {"phase1": 2.0, "phase2": 1.25, "evaluation": 0.25},
        **run,
    }
    (root / name / "metrics.json").write_text(json.dumps(scores))
    (root / name / "run.json").write_text(json.dumps(description))
    (root / name / "report.html").write_text("report")


@pytest.fixture
def flagfiles(tmp_path):
    folder = tmp_path / "flags"
    folder.mkdir()
    for letter, published in (("c", "66.46 % (S)"), ("g", "61.62 % (D)"), ("j", "none")):
        text = HEAD.format(letter=letter.upper(), published=published)
        (folder / f"{letter}.flags").write_text(text)
    (folder / "demo.flags").write_text("# The demo.\n--dropout=0.1\n")
    return {path.stem: path for path in sorted(folder.glob("*.flags"))}


RIGHT = [0.1, 0.9] * 5
MIXED = [0.1, 0.2] * 2 + [0.7, 0.9] * 3


def test_the_page_puts_figures_beside_the_published_ones(flagfiles, tmp_path):
    make_run(tmp_path / "runs", "c", RIGHT, policies=PAPER)
    make_run(tmp_path / "runs", "g", MIXED)
    errors = {"j": "--dataset_dir=nowhere is not a folder"}
    path = compare.write(tmp_path / "runs", flagfiles, ["c", "j"], errors)
    page = path.read_text()
    assert path == tmp_path / "runs" / "comparison.html"
    assert "Comparison of 3 experiments" in page
    assert '<a href="c/report.html">c</a><small>MobileNetV2 with &lt;weights&gt;</small>' in page
    assert "66.46 %" in page
    assert "+33.5" in page  # 100 % here
    assert "-11.6<small>another split</small>" in page  # 50 % here, 61.62 published
    assert page.count("another split</small>") == 1
    assert "3.5</td>" in page  # minutes
    assert "is 1.9 points" in page  # sqrt(0.65 * 0.35 / 641)
    assert '<td colspan="10" class="reason">--dataset_dir=nowhere is not a folder</td>' in page
    assert "<strong>c, g</strong>: the same 10 films" in page
    for outside in ("http://", "https://", "<script", "<link", "src="):
        assert outside not in page


def test_agreement_is_counted_over_films_all_were_judged_on(flagfiles, tmp_path):
    make_run(tmp_path, "c", RIGHT)
    make_run(tmp_path, "g", MIXED)
    both = [compare.read(flagfiles[name], tmp_path / name, "") for name in "cg"]
    assert compare.agree(both) == {"films": 10, "all_right": 5, "all_wrong": 0, "divided": 5}
    make_run(tmp_path, "j", [1 - answer for answer in MIXED[:4]])
    three = [*both, compare.read(flagfiles["j"], tmp_path / "j", "")]
    assert compare.agree(three) == {"films": 4, "all_right": 0, "all_wrong": 0, "divided": 4}
    assert compare.group_by_films(three) == [(10, ["c", "g"]), (4, ["j"])]
    assert compare.agree(both[:1]) is None


def test_runs_that_ask_different_questions_are_not_counted_together(flagfiles, tmp_path):
    make_run(tmp_path, "c", RIGHT)
    make_run(tmp_path, "g", RIGHT, target="abnormal")
    both = [compare.read(flagfiles[name], tmp_path / name, "") for name in "cg"]
    assert compare.agree(both) is None


def test_published_figures(flagfiles):
    assert compare.read_published(flagfiles["c"]) == (66.46, "S")
    assert compare.read_published(flagfiles["j"]) == (None, "")
    assert compare.read_published(flagfiles["demo"]) == (None, "")
    flagfiles["c"].write_text("# Experiment\n# Published accuracy: about 66 %\n")
    with pytest.raises(CallerError, match=r"c.flags: '# Published accuracy: about 66 %' is not"):
        compare.read_published(flagfiles["c"])


def test_choice_and_order(flagfiles):
    assert experiments.choose(flagfiles, []) == ["c", "g", "j"]
    assert experiments.choose(flagfiles, ["j", "c"]) == ["j", "c"]
    with pytest.raises(CallerError, match=r"--only=demos is not one of .*did you mean demo\?"):
        experiments.choose(flagfiles, ["demos"])
    with pytest.raises(CallerError, match="holds no experiment"):
        experiments.choose({"demo": flagfiles["demo"]}, [])
    with flagfiles["c"].open("a") as file:
        file.write("--init_from=runs/experiments/demo\n")
    assert experiments.choose(flagfiles, ["g", "c"]) == ["g", "demo", "c"]


def test_a_run_begins_from_the_one_beside_it(flagfiles):
    """Wherever --runs puts them: the flagfile names the default folder."""
    with flagfiles["c"].open("a") as file:
        file.write("--init_from=runs/experiments/demo\n")
    root = pathlib.Path("elsewhere")
    beside = [f"--flagfile={flagfiles['c']}", "--run_dir=elsewhere/c", "--init_from=elsewhere/demo"]
    assert experiments.flags_of("c", flagfiles, root) == beside
    assert experiments.flags_of("g", flagfiles, root)[1:] == ["--run_dir=elsewhere/g"]


def test_runs_do_not_share_a_folder(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "trainer.experiments", "--run_dir=mine"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    )
    assert run.returncode == 2
    assert run.stderr.startswith("error: --run_dir: every experiment has a folder of its own; --ru")


@pytest.mark.slow
def test_one_failure_stops_no_other(records_dir, tmp_path):
    folder = tmp_path / "flags"
    folder.mkdir()
    head = HEAD.format(letter="X", published="60.00 % (S)")
    (folder / "a.flags").write_text(f"{head}--dataset_dir=nowhere\n")
    (folder / "b.flags").write_text(f"{head}--dataset_dir={records_dir}\n--phase2_epochs=0\n")
    chained = (folder / "b.flags").read_text() + "--init_from=runs/experiments/b\n"
    (folder / "c.flags").write_text(chained)

    def run(*arguments: str) -> subprocess.CompletedProcess:
        short = ["--alpha=0.35", "--weights=random", "--phase1_epochs=1"]
        where = [f"--flagfiles={folder}", f"--runs={tmp_path / 'runs'}"]
        return subprocess.run(
            [sys.executable, "-m", "trainer.experiments", *where, *short, *arguments],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
        )

    first = run()
    assert first.returncode == 1, first.stderr
    assert first.stderr.splitlines()[-1] == (
        "failed: a: --dataset_dir=nowhere is not a folder (exit code 2)"
    )
    page = tmp_path / "runs" / "comparison.html"
    assert first.stdout.splitlines()[-1] == f"comparison: {page}"
    assert (tmp_path / "runs" / "b" / "report.html").is_file()
    description = json.loads((tmp_path / "runs" / "c" / "run.json").read_text())
    assert description["weights"].startswith(f"all of {tmp_path / 'runs' / 'b'} ")
    assert "--dataset_dir=nowhere is not a folder (exit code 2)" in page.read_text()
    again = run("--only=b")
    assert again.returncode == 0, again.stderr
    assert f"{tmp_path / 'runs' / 'b'} is finished" in again.stdout
    changed = run("--only=b", "--dropout=0.5")
    assert changed.returncode == 1
    assert "failed: b: " in changed.stderr
    assert "holds a run with other dropout" in changed.stderr
