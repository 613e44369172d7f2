"""The verbs of the trainer from outside: help, what is refused, exit codes; nothing slow loaded."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

from flags import fields
from trainer.__main__ import VERBS

COMMANDS = pathlib.Path(__file__).parents[2] / "trainer" / "commands"
NAMES = (
    *("train", "compare", "cross_validate", "ensemble", "evaluate", "experiments", "explain"),
    *("export", "predict", "report", "tune"),
)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trainer", *words]
    return subprocess.run(command, cwd=COMMANDS, capture_output=True, text=True, check=False)


def test_verbs_are_the_modules_that_have_flags_and_run():
    assert tuple(VERBS.all()) == NAMES
    for name, module in VERBS.all().items():
        assert f"python -m trainer {'' if name == 'train' else name}" in module.__doc__
        assert callable(module.run)


@pytest.mark.parametrize("name", ["", *NAMES])
def test_help_teaches_the_verb(name):
    done = run(*name.split(), "--help")
    assert done.returncode == 0
    assert done.stderr == ""
    for flag in fields.flags_of(VERBS.find(name or "train").Config):
        assert f"--{flag}:" in done.stdout or f"--[no]{flag}:" in done.stdout
    assert f"python -m trainer {name}" in done.stdout
    assert "__main__.py" not in done.stdout
    if not name:
        assert all(f"\n  {other} " in done.stdout for other in NAMES)


def test_verbs_load_nothing_slow():
    program = (
        "import sys; from trainer.__main__ import VERBS; VERBS.all(); heavy = {'tensorflow', "
        "'keras', 'apache_beam', 'numpy', 'optuna', 'jinja2'}; sys.exit(str(heavy & {*sys.modules})"
        " if heavy & {*sys.modules} else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=COMMANDS.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("predct", "'predct' is no command of python -m trainer; did you mean predict? commands"),
        ("vgg19", "'vgg19' is no command of python -m trainer; commands are train, compare, "),
        ("tune_trial", "'tune_trial' is no command of python -m trainer"),
        ("../train", "'../train' is no command of python -m trainer"),
        ("--base=vgg16 predict", "the command comes first: python -m trainer predict ..."),
        ("--noheat_maps", "--noheat_maps belongs to: python -m trainer predict"),
        (
            "predict --run=x --worst=3",
            "--worst belongs to: python -m trainer explain; predict takes --run, --any_modality, "
            "--overwrite, --output_dir, --images, --path_prefix, --predict_unlike, "
            "--special_views, --heat_maps",
        ),
        ("report --run=x --output_dir=x", "--output_dir belongs to: python -m trainer compare|ens"),
        (
            "export --run=x --base=vgg16",
            "--base belongs to: python -m trainer train|cross_validate",
        ),
        ("evaluate --run=x --where=x", "--where belongs to: python -m trainer train|cross_valid"),
        ("--run=x", "--run belongs to: python -m trainer evaluate|explain|export|predict|report"),
        ("--space=x", "--space belongs to: python -m trainer tune"),
        ("predict --run=x --output=y", "unknown flag --output; did you mean --output_dir?"),
        ("predict --run=x --batchsize=y", "unknown flag --batchsize; did you mean --batch_size?"),
        ("--mode=predict --run=x", "--mode is gone: python -m trainer predict --run=RUN ..."),
        ("--mode=compare a b", "--mode is gone: python -m trainer compare ..."),
        ("--mode=train", "--mode is gone: python -m trainer ..."),
        ("--mode=other", "--mode is gone: python -m trainer COMMAND ...; commands are train, "),
        ("--mode predict", "--mode is gone: python -m trainer predict --run=RUN ..."),
        ("--nodropout", "unknown flag --nodropout; --dropout takes a value"),
        ("--dropout=abc", "--dropout=abc is not a number"),
        ("--dropout", "--dropout has no value; flags are written --name=value"),
        ("report --run=x y", "argument 'y' is not a flag; flags are written --name=value"),
        ("predict --run=/nope x.png", "--run=/nope is not a folder; give that of a finished run"),
        ("predict", "--run=RUN is missing, the folder of a finished run"),
        ("compare a", "compare needs two or more folders of finished runs: python -m trainer com"),
        ("ensemble a", "ensemble needs folders of finished runs, or of a cross-validation, and"),
        ("cross_validate --fold=1", "cross_validate evaluates every fold in turn; leave out --f"),
        ("cross_validate --test_fold=1", "cross_validate evaluates every fold in turn; leave ou"),
        ("cross_validate --strategy=multi_worker", "--strategy=multi_worker trains one run on s"),
        ("tune", "tune needs --space, a file that names what to search; see docs/training.md"),
        ("export --run=a --formats=onxn", "--formats=onxn is not one of saved_model, onnx, litert"),
        ("explain --run=. --sanity --layer=x", "--sanity and --layer do not go together; give"),
        ("explain --run=. --pointing", "--pointing needs --data_dir, the folder of the images"),
        ("experiments --only=zz", "--only=zz is not one of "),
    ],
)
def test_a_mistake_is_one_line(words, line):
    done = run(*words.split())
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {line}"), done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
