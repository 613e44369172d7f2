"""The comparison: what it says, its page, the command, and the experiments that end in it."""

import dataclasses
import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from records.errors import CallerError
from tests import make
from tests.make import PAPER, predicted, write_run
from trainer.commands import compare, experiments
from trainer.evaluation import compared_run, published
from trainer.evaluation.comparison_json import Comparison, DeLong, Difference, McNemar
from trainer.reports import comparison_page, comparison_words

ROOT = pathlib.Path(__file__).parents[3]
HEAD = """# Experiment {letter} (Jaamour et al. 2023, PLOS ONE): MobileNetV2 with <weights>. More.
# Published accuracy: {published}
--dataset_dir=data/tfrecords/cbis_ddsm/512x512/plain
--dropout=0.2
"""
RIGHT = [0.1, 0.9] * 10
MIXED = [0.1, 0.2] * 4 + [0.7, 0.9] * 6
WRONG = [1 - answer for answer in RIGHT]


@pytest.fixture
def runs(tmp_path):
    for name, answers in (("right", RIGHT), ("mixed", MIXED), ("wrong", WRONG)):
        write_run(tmp_path / "runs" / name, predicted(answers))
    return tmp_path / "runs"


def ask(runs: pathlib.Path, *names: str) -> dict:
    """Compares runs by name; returns comparison.json."""
    where = [str(runs / name) for name in names]
    config = compare.Config(arguments=tuple(where), output_dir=str(runs / "page"), overwrite=True)
    assert compare.run(config) == 0
    return json.loads((runs / "page" / "comparison.json").read_text())


def start(*arguments: object, cwd: pathlib.Path, module: str = "trainer"):
    return make.program(module, *arguments, cwd=cwd)


def test_the_command(runs):
    done = start("compare", "runs/mixed", "runs/right", cwd=runs.parent)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert re.split("  +", lines[0].strip()) == [
        *("images", "AUC", "accuracy", "precision", "sensitivity (recall)", "F1")
    ]
    assert lines[1].split()[:2] == ["mixed", "20"]
    assert lines[1].split()[3] == "0.500"
    assert lines[2].split()[:2] == ["right", "20"]
    assert lines[2].split()[4:6] == ["1.000", "+0.500*"]
    assert "right against mixed, the same 20 images of 10 patients: more than noise: " in lines[4]
    page = runs.parent / "runs" / "comparison" / "comparison.html"
    assert lines[-1] == f"comparison: {page}"
    assert page.is_file()
    assert (page.parent / "comparison.json").is_file()


def test_at_the_threshold_each_network_chose(tmp_path):
    """Two runs that rank alike: one's probabilities lie below a half, and it chose 0.25."""
    low = [dataclasses.replace(one, threshold=0.25) for one in predicted([0.1, 0.4] * 10)]
    high = [dataclasses.replace(one, threshold=0.5) for one in predicted(RIGHT)]
    runs = tmp_path / "runs"
    for name, images, dropout in (("low", low, 0.1), ("high", high, 0.3)):
        write_run(runs / name, images, config={"dropout": dropout, "seed": 1})
    at_half = ask(runs, "high", "low")
    assert at_half["comparisons"][0]["metrics"]["accuracy"]["value"] == -0.5
    assert at_half["flags"] == {"dropout": [0.3, 0.1]}
    where = (str(runs / "high"), str(runs / "low"))
    config = compare.Config(arguments=where, output_dir=str(runs / "chosen"), threshold="chosen")
    assert compare.run(config) == 0
    found = json.loads((runs / "chosen" / "comparison.json").read_text())
    metrics = found["comparisons"][0]["metrics"]
    assert {metrics[name]["value"] for name in ("accuracy", "recall", "auc")} == {0}
    assert found["comparisons"][0]["mcnemar"]["both_right"] == 20
    assert [run["scores"]["accuracy"]["value"] for run in found["runs"]] == [1, 1]
    page = (runs / "chosen" / "comparison.html").read_text()
    assert "at threshold chosen on validation images" in page
    assert "--dropout" in page


def test_what_can_not_be_compared_at_a_chosen_threshold(runs):
    (runs / "begun").mkdir()
    (runs / "begun" / "config.json").write_text("{}")
    for other, words in (
        ("right", r"has no chosen threshold \(.*\); compare with --threshold=0.5"),
        ("begun", r"begun is not finished: it has no metrics.json; give the command that began it"),
    ):
        where = (str(runs / "mixed"), str(runs / other))
        with pytest.raises(CallerError, match=words):
            compare.run(
                compare.Config(arguments=where, output_dir=str(runs / "page"), threshold="chosen")
            )


def test_images_beside_breasts(tmp_path):
    """Which the images were averaged to; the page names what differs in the records too."""
    views = [dataclasses.replace(one, columns={"side": "left"}) for one in predicted(MIXED)]
    breasts = [
        dataclasses.replace(one, image_id=f"b{n}", image_ids="a;b", columns={"side": "left"})
        for n, one in enumerate(views[1::2])
    ]
    runs = tmp_path / "runs"
    write_run(runs / "single", views, config={"views": "auto"})
    write_run(runs / "two", breasts, config={"views": "attention"}, unit="breast")
    content = ask(runs, "single", "two")
    assert content["flags"] == {"unit": ["image", "breast"], "views": ["auto", "attention"]}
    page = (runs / "page" / "comparison.html").read_text()
    said = "The predictions of 20 images were averaged to 10 breasts by patient and side: single, "
    assert page.count(said) == 1
    for words in ("2 runs compared on the same breasts", "against it, breast by breast", "--views"):
        assert words in page
    meant = rf'(?s)<style.*?</style>|{said}|<td>image</td>|"#?images"'
    assert not re.findall(r"(?i).{0,40}\bimages?\b.{0,40}", re.sub(meant, "", page))


def test_it_needs_no_tensorflow():
    program = (
        "import sys, trainer.reports.comparison_page, trainer.evaluation.compared_run; "
        "sys.exit(any(n.split('.')[0] in ('tensorflow', 'keras') for n in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["mixed", "nowhere"], "runs/nowhere is not a folder; name folders of finished runs"),
        (["mixed", "empty"], "runs/empty/predictions.csv does not exist"),
        (["mixed", "mixed"], "runs/mixed is named twice; name every run once"),
        (["mixed", "right/../mixed"], "is named twice"),
        (["mixed"], "compare needs two or more folders"),
        (["mixed", "nan"], "runs/nan/predictions.csv record 2: image 'image1' has probability nan"),
        (["mixed", "double"], "image 'image0' stands in record 1 already"),
        (["mixed", "none"], "runs/none/predictions.csv holds no image"),
        (["mixed", "stale"], "metrics.json (accuracy 0.5) is not of these predictions (1.000)"),
        (["mixed", "torn"], "runs/torn/run.json is damaged"),
        (["mixed", "other"], "other and mixed can't be compared: their question is"),
    ],
    ids=lambda value: "-".join(value).replace("/", "_") if isinstance(value, list) else "",
)
def test_what_can_not_be_compared_is_one_line(runs, names, words):
    (runs / "empty").mkdir()
    for name in ("nan", "double", "none", "stale", "torn"):
        shutil.copytree(runs / "right", runs / name)
    rows = (runs / "right" / "predictions.csv").read_text().splitlines()
    for name, changed in (
        ("nan", [*rows[:2], rows[2].replace("0.9", "nan"), *rows[3:]]),
        ("double", [*rows, rows[1]]),
        ("none", rows[:1]),
    ):
        (runs / name / "predictions.csv").write_text("\n".join(changed) + "\n")
    shutil.copy(runs / "mixed" / "metrics.json", runs / "stale" / "metrics.json")
    (runs / "torn" / "run.json").write_text('{"target": "path')
    write_run(runs / "other", predicted(RIGHT), target="abnormal")
    with pytest.raises(CallerError) as refused:
        ask(runs, *names)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (runs / "page").exists()


def test_the_command_refuses_in_one_line(runs):
    done = start("compare", "runs/mixed", "runs/nowhere", cwd=runs.parent)
    assert done.returncode == 2
    assert done.stderr == "error: runs/nowhere is not a folder; name folders of finished runs\n"


def test_a_second_comparison_leaves_the_first(runs):
    first, second = (
        start("compare", "runs/mixed", f"runs/{other}", cwd=runs.parent)
        for other in ("right", "wrong")
    )
    assert "runs/comparison/comparison.html" in first.stdout
    assert "runs/comparison-2/comparison.html" in second.stdout
    third = start(
        "compare", "runs/mixed", "runs/wrong", "--output_dir=runs/comparison", cwd=runs.parent
    )
    make.one_line(third, "holds 2 files of an earlier call", "--overwrite")
    content = json.loads((runs / "comparison" / "comparison.json").read_text())
    assert [run["name"] for run in content["runs"]] == ["mixed", "right"]


def test_a_folder_that_can_not_be_written(runs):
    (runs / "page").write_text("a file")
    with pytest.raises(CallerError, match=r"page can't be written: .*another --output_dir"):
        ask(runs, "mixed", "right")


def test_words_say_what_is_more_than_noise_and_what_is_not_said(runs):
    first, better, _ = ask(runs, "mixed", "right", "wrong")["sentences"]
    assert first == "Of 2 runs 2 differ from mixed by more than noise in any metric: right, wrong."
    assert better.startswith("right against mixed, the same 20 images of 10 patients: more than ")
    assert "F1 +0.455 (95 % +0.357 to +0.625)" in better
    write_run(runs / "alike", predicted([*MIXED[:-2], 0.2, 0.9]))
    (alike,) = ask(runs, "mixed", "alike")["sentences"]
    assert ": no difference is more than noise; no difference shown in AUC, accuracy, " in alike
    assert "which does not make them equal: in AUC anything from " in alike
    first = ask(runs, "mixed", "alike", "right")["sentences"][0]
    assert first == "Of 2 runs 1 differs from mixed by more than noise in any metric: right."
    shutil.copytree(runs / "mixed", runs / "copy")
    (copy,) = ask(runs, "mixed", "copy")["sentences"]
    assert copy.endswith(": every metric is the same, in nearly every resample.")


def test_words_of_what_counts_only_alone():
    auc = Difference(0.1, 0.02, 0.18, baseline=0.6, run=0.7, p=0.02, more_than_noise=False)
    metrics = {"auc": auc, "f1": Difference(None, baseline=None, run=None)}
    made = Comparison("b", 1, 1, False, metrics, McNemar(0, 0, 0, 1, p=1.0), DeLong())
    assert comparison_words.signed(-0.0004) == "+0.000"
    said = comparison_words.describe(made, "a")
    assert said == (
        "b against a, the only common 1 image of 1 patient (0 more of a, 0 more of b): no "
        "difference is more than noise; "
        "AUC +0.100 (95 % +0.020 to +0.180) might count if no other test had been made, not among "
        "all of this comparison; nothing is known of F1."
    )


def test_one_image(runs):
    for name, answer in (("low", 0.2), ("high", 0.9)):
        write_run(runs / name, predicted([answer]))
    content = ask(runs, "low", "high")
    assert content["sentences"] == [
        "high against low, the same 1 image of 1 patient: nothing is known of AUC, accuracy, "
        "precision, sensitivity (recall) and F1."
    ]
    page = (runs / "page" / "comparison.html").read_text()
    assert 'aria-label="AUC less that of low: high not defined."' in page


def test_common_images_are_counted(runs):
    write_run(runs / "later", predicted(RIGHT, first=10))
    content = ask(runs, "mixed", "later")
    assert content["comparisons"][0]["images"] == 10
    said = "the only common 10 images of 5 patients (10 more of mixed, 10 more of later)"
    assert said in content["sentences"][0]
    assert content["same_images"] == [
        {"images": 20, "runs": ["mixed"]},
        {"images": 20, "runs": ["later"]},
    ]


def test_who_is_right_on_images_all_were_evaluated_on(runs):
    content = ask(runs, "right", "mixed", "wrong")
    assert content["agreement"] == {"images": 20, "all_right": 0, "all_wrong": 0, "divided": 20}
    content = ask(runs, "right", "mixed")
    assert content["agreement"] == {"images": 20, "all_right": 10, "all_wrong": 0, "divided": 10}
    assert content["same_images"] == [{"images": 20, "runs": ["right", "mixed"]}]


def test_folders_of_one_name_are_told_apart(runs):
    write_run(runs / "again" / "mixed", predicted(RIGHT))
    content = ask(runs, "mixed", "again/mixed")
    assert [run["name"] for run in content["runs"]] == [
        "runs/mixed",
        "again/mixed",
    ]


def test_the_page_stands_alone_and_is_escaped(runs):
    shutil.copytree(runs / "right", runs / "<b>bold")
    ask(runs, "mixed", "<b>bold", "wrong")
    page = (runs / "page" / "comparison.html").read_text()
    for outside in ("http://", "https://", "<script", "<link", "src=", "<b>bold"):
        assert outside not in page
    assert "&lt;b&gt;bold" in page
    assert page.count("<figure>") == 5
    assert "not defined" not in page
    names = re.findall(r'\bid="([^"]*)"', page)
    assert len(names) == len(set(names))
    assert 'aria-label="Accuracy less that of mixed: ' in page
    first = (runs / "page" / "comparison.html").read_bytes()
    ask(runs, "mixed", "<b>bold", "wrong")
    assert (runs / "page" / "comparison.html").read_bytes() == first


def test_phantoms_are_called_phantoms(runs):
    write_run(runs / "phantoms", predicted(MIXED), synthetic=True)
    assert ask(runs, "mixed", "phantoms")["synthetic"]
    assert "Synthetic phantoms, not mammograms" in (runs / "page" / "comparison.html").read_text()


@pytest.fixture
def flagfiles(tmp_path):
    folder = tmp_path / "flags"
    folder.mkdir()
    for letter, stated in (("c", "66.46 % (S)"), ("g", "61.62 % (D)"), ("j", "none")):
        text = HEAD.format(letter=letter.upper(), published=stated)
        (folder / f"{letter}.flags").write_text(text)
    (folder / "demo.flags").write_text("# The demo.\n--dropout=0.1\n")
    return {path.stem: path for path in sorted(folder.glob("*.flags"))}


def test_the_page_puts_figures_beside_the_published_ones(flagfiles, tmp_path):
    root = tmp_path / "runs"
    plain = {"config": {"dropout": 0.2}}
    write_run(root / "c", predicted(RIGHT), policies=PAPER, **plain)
    write_run(root / "g", predicted(MIXED), policies=PAPER, dataset="inbreast", **plain)
    made = [compared_run.read(root / n, name=n, flagfile=flagfiles[n]) for n in "cg"]
    failed = published.read(flagfiles["j"])
    content = comparison_page.write(
        root, made, unfinished=[(failed, "--dataset_dir=x is not a folder")]
    )
    page = (root / "comparison.html").read_text()
    assert '<a href="c/report.html">c</a><small>MobileNetV2 with &lt;weights&gt;</small>' in page
    assert "66.46 %" in page
    assert "+33.5" in page  # 100 % here
    # 50 % here, 61.62 published
    assert '-11.6<small class="notes" title="other data">other data</small>' in page
    assert "3.5</td>" in page  # minutes
    assert "is 1.9 points" in page  # sqrt(0.65 * 0.35 / 641)
    assert "<strong>c</strong>: the same" not in page
    assert "MobileNetV2 with &lt;weights&gt;): --dataset_dir=x is not a folder" in page
    (apart,) = content.not_compared.values()
    assert apart.startswith("g and c can't be compared: their data set is inbreast and cbis_ddsm")
    assert content.comparisons == []


def test_a_page_without_a_finished_run(flagfiles, tmp_path):
    failed = published.read(flagfiles["c"])
    comparison_page.write(tmp_path, [], unfinished=[(failed, "not finished")])
    assert "published 66.46 %): not finished" in (tmp_path / "comparison.html").read_text()


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


def test_runs_do_not_fraction_a_folder(tmp_path):
    run = start("experiments", "--run_dir=mine", cwd=tmp_path, module="trainer")
    assert run.returncode == 2
    assert run.stderr.startswith("error: --run_dir: every experiment has a folder of its own; --ru")


def test_experiments_without_records_are_one_line(flagfiles, tmp_path):
    """Whatever their number, and before the first begins."""
    given = (f"--flagfiles={tmp_path / 'flags'}", "--runs=mine")
    done = start("experiments", *given, cwd=tmp_path)
    make.one_line(done, "missing: data/tfrecords/cbis_ddsm/512x512/plain; make them with 'make tf")
    assert done.stdout == ""
    assert not (tmp_path / "mine").exists()
    done = start("experiments", *given, "--dataset_dir", "elsewhere", cwd=tmp_path)
    make.one_line(done, "missing: elsewhere; make them")


def test_finished_experiments_are_compared_with_the_baseline(flagfiles, tmp_path):
    """The one named baseline, wherever it stands among them; else the first."""
    root, given = tmp_path / "runs", [f"--flagfiles={tmp_path / 'flags'}", "--only=g"]
    path = tmp_path / "flags" / "baseline.flags"
    path.write_text(HEAD.format(letter="Base", published="61.80 % (S)"))
    for name, answers in (("baseline", MIXED), ("c", RIGHT), ("g", RIGHT)):
        write_run(root / name, predicted(answers))
        (root / name / published.COMMAND).write_text(
            f"--flagfile={tmp_path / 'flags' / name}.flags --run_dir={root / name}"
        )
    done = start("experiments", *given, f"--runs={root}", cwd=tmp_path, module="trainer")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "experiment g",
        f"{root / 'g'} is finished",
        f"comparison: {root / 'comparison.html'}",
    ]
    content = json.loads((root / "comparison.json").read_text())
    assert content["baseline"] == "baseline"
    assert [one["run"] for one in content["comparisons"]] == ["c", "g"]
    shutil.rmtree(root / "baseline")
    start("experiments", *given, f"--runs={root}", cwd=tmp_path, module="trainer")
    assert json.loads((root / "comparison.json").read_text())["baseline"] == "c"


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
        short = [*make.TINY_FLAGS, "--phase1_epochs=1"]
        where = [f"--flagfiles={folder}", f"--runs={tmp_path / 'runs'}"]
        return start("experiments", *where, *short, *arguments, cwd=tmp_path, module="trainer")

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
    content = json.loads((tmp_path / "runs" / "comparison.json").read_text())
    assert [one["run"] for one in content["comparisons"]] == ["c"]
    again = run("--only=b")
    assert again.returncode == 0, again.stderr
    assert f"{tmp_path / 'runs' / 'b'} is finished" in again.stdout
    changed = run("--only=b", "--dropout=0.5")
    assert changed.returncode == 1
    assert "failed: b: " in changed.stderr
    assert "holds a run with other dropout" in changed.stderr
