"""Several devices and several processes give what one gives."""

import csv
import dataclasses
import json
import os
import pathlib
import socket
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

from flags.training_config import TrainingConfig
from records.errors import CallerError
from tests import make
from trainer.commands import train
from trainer.training import strategy

CHILD_ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "it is not set"),
        ("{", r"it is \{"),
        ('{"cluster": {"worker": ["a:1"]}}', "another index for every worker"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "TF_CONFIG"),
    ],
    ids=["none", "no json", "no task", "no such worker"],
)
def test_a_cluster_that_is_not_stated(monkeypatch, text, said):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(CallerError, match=rf"--strategy=multi_worker needs .*{said}"):
        strategy.make("multi_worker")


def test_no_tpu():
    with pytest.raises(CallerError, match=r"--strategy=tpu finds no TPU here \(.*\); take default"):
        strategy.make("tpu")


# 11 images over three devices: batches of 4 leave one without an image, those of 5 divide into 2, 2
# and 1, the last of them into 1 and twice none.
UNEVEN = """
    import json
    import numpy as np
    import tensorflow as tf
    cpus = tf.config.list_physical_devices("CPU")
    three = [tf.config.LogicalDeviceConfiguration()] * 3
    tf.config.set_logical_device_configuration(cpus[0], three)
    import keras
    from trainer.training import strategy

    images = np.random.default_rng(0).normal(size=(11, 3)).astype("float32")
    labels = (images[:, :1] * images[:, 1:2] > 0).astype("float32")
    results = {}
    for name in ("default", "mirrored"):
        devices = strategy.make(name)
        for batch in (4, 5):
            keras.utils.set_random_seed(5)
            with devices.scope():
                given = {"a": keras.Input((2,)), "b": keras.Input((1,))}
                joined = keras.layers.Concatenate()([given["a"], given["b"]])
                model = keras.Model(given, keras.layers.Dense(1, "sigmoid")(joined))
                loss = keras.losses.BinaryCrossentropy()
                if name == "mirrored":
                    loss = strategy.MeanOverBatch(loss)
                auc = keras.metrics.AUC(name="auc")
                model.compile(keras.optimizers.SGD(0.5), loss, metrics=[auc])
            parts = {"a": images[:, :2], "b": images[:, 2:]}
            dataset = tf.data.Dataset.from_tensor_slices((parts, labels)).batch(batch)
            batches = strategy.distribute(dataset)
            strategy.prepare(model, devices, next(iter(dataset)))
            history = model.fit(
                batches, epochs=2, validation_data=batches, class_weight={0: 1.0, 1: 3.0},
                shuffle=False, verbose=0,
            ).history
            results[f"{name} {batch}"] = [
                model.get_weights()[0].tolist(), *(history[key] for key in sorted(history))
            ]
            keras.models.clone_model(model)  # as an augmented network is, with its loss
    print("results", json.dumps(results))
"""


@pytest.mark.slow
def test_uneven_batches_weigh_every_image_alike():
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(UNEVEN)],
        check=True,
        capture_output=True,
        text=True,
        env=CHILD_ENVIRONMENT,
    )
    results = json.loads(child.stdout.partition("results ")[2])
    for batch in (4, 5):
        one, three = results[f"default {batch}"], results[f"mirrored {batch}"]
        for wanted, got in zip(one, three, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=2e-5)


WORKER = """
    import sys
    from flags.training_config import TrainingConfig
    from trainer.commands import train
    train.train(TrainingConfig(**eval(sys.argv[1])))
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def run_workers(*configs: TrainingConfig, stopped: bool = False) -> None:
    """Runs two workers, each with a configuration of its own, to the end or out of time."""
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
    workers = []
    for index, config in enumerate(configs):
        task = {"type": "worker", "index": index}
        environment = {
            **CHILD_ENVIRONMENT,
            "TF_CONFIG": json.dumps({"cluster": cluster, "task": task}),
        }
        workers.append(
            subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(WORKER), repr(config.to_json())],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    code = 1 if stopped else 0
    try:
        said = [worker.communicate(timeout=400)[0] for worker in workers]
        assert [worker.returncode for worker in workers] == [code] * 2, "\n".join(said)
        assert all(("OutOfTime" in text) == stopped for text in said)
    finally:
        for worker in workers:
            worker.kill()


def history(run: pathlib.Path) -> np.ndarray:
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    keys = ("epoch", "loss", "accuracy", "auc", "val_loss", "val_accuracy", "val_auc")
    return np.array([[float(row[key]) for key in keys] for row in rows])


@pytest.mark.slow
def test_two_processes_give_the_run_of_one(records_dir, tmp_path):
    """32 images in batches of 5; both phases, both processes in one run folder."""
    options = {
        "dataset_dir": str(records_dir),
        **make.TINY,
        "dropout": 0.0,
        "batch_size": 5,
        "phase1_epochs": 2,
        "phase2_epochs": 1,
        "unfreeze_from": "conv3",
        "phase2_learning_rate": 1e-4,
    }
    train.train(TrainingConfig(**options, run_dir=str(tmp_path / "one")))
    many = TrainingConfig(**options, run_dir=str(tmp_path / "two"), strategy="multi_worker")
    # the time of one worker is up after an epoch: both stop, and take the run up together
    run_workers(many, dataclasses.replace(many, max_minutes=1e-9), stopped=True)
    run_workers(many, many)
    # batch normalisation learns in phase 2, from each device's part of a batch
    np.testing.assert_allclose(
        history(tmp_path / "two")[:2], history(tmp_path / "one")[:2], rtol=1e-4
    )
    assert len(history(tmp_path / "two")) == 3
    names = {path.name for path in (tmp_path / "two").iterdir()}
    assert names == {path.name for path in (tmp_path / "one").iterdir()}
    scores = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two")]
    assert scores[0]["images"] == scores[1]["images"] == 18
    assert keras.models.load_model(tmp_path / "two" / "model.keras", compile=False).count_params()
