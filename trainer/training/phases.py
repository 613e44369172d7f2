"""The two phases: the head on a frozen base, then all layers at a low learning rate.

Jaamour et al. 2023, transfer learning: Adam, early stopping on the validation loss (patience 10,
then 5), learning rate cut to a tenth on a plateau (patience 5, then 2).
"""

from __future__ import annotations

import keras
import tensorflow as tf
from absl import logging

from flags import optimization_config
from flags.training_config import TrainingConfig
from records.errors import CallerError, OutOfTime
from records.printable import counted
from trainer.data import input_pipeline
from trainer.model import feature_cache, losses, network
from trainer.training import (
    callbacks,
    chance,
    checkpoints,
    fine_tuning,
    log_lines,
    optimizers,
    strategy,
    tensorboard,
    throughput,
)
from trainer.training.run import Phase, Run, phase_of


def train_phase(run: Run, number: int) -> None:
    """Runs one phase, or what is left of it; leaves the model with the phase's best weights.

    Raises:
        CallerError: the loss is no number.
        OutOfTime: --max_minutes are over before the phase is.
    """
    phase = phase_of(run, number)
    if phase.epochs == 0:
        return
    if phase.best_path.is_file():
        run.model.load_weights(phase.best_path)
        return
    compile_model(run, phase)
    norm = run.batch_norm.describe(run.config.base_batch_norm) if run.batch_norm else "is not there"
    logging.info(
        "phase %d: at most %s, %s, learning rate %g",
        number,
        counted(phase.epochs, "epochs"),
        "the base frozen" if number == 1 else f"all layers; the base's batch normalisation {norm}",
        phase.rate,
    )
    start, values = _resume(run, phase)
    if not _is_over(run, phase, start, values):
        _stop_if_late(run)
        fit(run, phase, start=start, values=values)
        strategy.wait_for_all(run.devices)  # the first one has yet to write its history
        values = checkpoints.read_values(run.history, run.monitor, phase=number)
        if not _is_over(run, phase, start, values):
            _stop_if_late(run)
    _keep_best(run, phase, values)


def compile_model(run: Run, phase: Phase) -> None:
    """Freezes or unfreezes the base, and gives the model optimizer, loss and metrics."""
    config = run.config
    if phase.number == 1:
        network.freeze_base(run.model)
    else:
        fine_tuning.unfreeze(run.model, config, run.batch_norm)
    slowed = fine_tuning.rates(run.model, config.layer_decay)
    with run.devices.scope():
        made = optimizers.make(config, rate=phase.rate, model=run.model, slowed=slowed)
        _set_up(run, run.model, made)
    strategy.prepare(run.model, run.devices, next(iter(validation_batches(run))))


def _set_up(run: Run, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
    loss = losses.loss_of(run.data.target)
    if run.devices.num_replicas_in_sync > 1:
        loss = strategy.MeanOverBatch(loss)
    metrics = losses.metrics_of(run.data.target)
    _check_monitor(run.config, [metric.name for metric in metrics])
    model.compile(optimizer=optimizer, loss=loss, metrics=metrics, jit_compile=run.config.xla)


def _prepare_features(run: Run) -> feature_cache.Features | None:
    """Cuts the network where phase 1 allows it; the head learns with the whole one's optimizer."""
    with run.devices.scope():
        kept = feature_cache.prepare(
            run.config,
            run.model,
            records=run.data.records,
            directory=run.directory,
            splits=(run.data.train, run.data.validation),
        )
        if kept is not None:
            # the order of its slots is that of the checkpoints of the whole network
            run.model.optimizer.build(run.model.trainable_variables)
            _set_up(run, kept.head, run.model.optimizer)
    if kept is not None:
        strategy.prepare(kept.head, run.devices, next(iter(validation_batches(run, kept))))
    return kept


def fit(run: Run, phase: Phase, *, start: int, values: dict[int, float]) -> None:
    """Trains the epochs of a phase that are left.

    Args:
        run: the run.
        phase: the phase, its model compiled and resumed.
        start: first epoch of the phase.
        values: the monitored values of the epochs it has behind it.
    """
    next_epoch, end = start + len(values), start + phase.epochs
    clock = throughput.InputClock()
    kept = _prepare_features(run) if phase.number == 1 else None
    learner = run.model if kept is None else kept.head
    split = run.data.train if kept is None else kept.replace(run.data.train)
    cache = input_pipeline.choose_cache(_cache_setting(run, kept), split)
    batches = training_batches(run, kept, first_epoch=next_epoch, last_epoch=end, cache=cache)
    if run.devices.num_replicas_in_sync == 1:  # else a thread of tf.distribute fetches ahead
        clock.attach(learner)
    learner.fit(
        strategy.distribute(batches),
        steps_per_epoch=input_pipeline.batches_in(run.data.train, run.config.batch_size),
        initial_epoch=next_epoch,
        epochs=end,
        validation_data=strategy.distribute(validation_batches(run, kept)),
        class_weight=dict(enumerate(run.class_weights)),
        shuffle=False,  # the pipeline has done it
        verbose=0,  # `log_lines.EpochLines` is shorter
        callbacks=_make_callbacks(run, phase, clock, start=start, values=values),
    )


def _make_callbacks(
    run: Run,
    phase: Phase,
    clock: throughput.InputClock,
    *,
    start: int,
    values: dict[int, float],
) -> list[keras.callbacks.Callback]:
    """Makes the callbacks of a phase. The order counts: each sees what those before it did."""
    config, monitor = run.config, run.monitor
    decides = {"monitor": monitor.name, "mode": monitor.mode}
    stopping = keras.callbacks.EarlyStopping(patience=phase.patience, **decides)
    plateau = None
    if config.plateau:
        half = max(1, phase.patience // 2)
        plateau = keras.callbacks.ReduceLROnPlateau(
            factor=optimizers.PLATEAU_FACTOR, patience=half, **decides
        )
    made = [checkpoints.Averages(resumed=bool(values))] if config.ema else []
    made += optimizers.learning_rate_callbacks(
        config,
        rate=phase.rate,
        start=start,
        epochs=phase.epochs,
        batches=input_pipeline.batches_in(run.data.train, config.batch_size),
    )
    made += [
        callbacks.StopAtNaN(phase=phase.number, kept=phase.folder),
        stopping,
        *([plateau] if plateau else []),
        checkpoints.Replay(monitor, values, stopping, plateau),
        checkpoints.Reseed(config.seed),
        checkpoints.Stamp(phase.number),
        clock,
    ]
    if strategy.is_chief(run.devices):
        folder = run.tensorboard / f"phase{phase.number}"
        profiled = optimization_config.profiled(config) or 0
        made += [
            keras.callbacks.TensorBoard(folder, profile_batch=profiled),
            tensorboard.WeightHistograms(folder / "train"),
            checkpoints.History(run.history, append=True),
            checkpoints.Checkpoint(phase.folder, monitor, values, run.model),
            log_lines.EpochLines(monitor=monitor.name, last=start + phase.epochs),
            chance.Watch(run, phase),
        ]
    return [*made, run.deadline]


def training_batches(
    run: Run,
    kept: feature_cache.Features | None = None,
    *,
    first_epoch: int,
    last_epoch: int,
    cache: bool,
) -> tf.data.Dataset:
    """Makes the batches of some epochs, one epoch after the other; of features where kept."""
    split = run.data.train if kept is None else kept.replace(run.data.train)
    return input_pipeline.training_batches(
        split,
        run.data.target,
        run.data.records.size,
        batch_size=run.config.batch_size,
        seed=run.config.seed,
        first_epoch=first_epoch,
        last_epoch=last_epoch,
        cache=cache,
        parse=None if kept is None else kept.parse,
    )


def validation_batches(run: Run, kept: feature_cache.Features | None = None) -> tf.data.Dataset:
    """Makes the batches of the validation images, or of their features."""
    split = run.data.validation if kept is None else kept.replace(run.data.validation)
    return input_pipeline.evaluation_batches(
        split,
        run.data.target,
        run.data.records.size,
        batch_size=run.config.batch_size,
        cache=input_pipeline.choose_cache(_cache_setting(run, kept), split),
        parse=None if kept is None else kept.parse,
    )


def _cache_setting(run: Run, kept: feature_cache.Features | None) -> str:
    """--cache, or for features --feature_cache."""
    if kept is None:
        return run.config.cache
    return {"disk": "off"}.get(run.config.feature_cache, run.config.feature_cache)


def _check_monitor(config: TrainingConfig, names: list[str]) -> None:
    known = [f"val_{name}" for name in ("loss", *names)]
    if config.monitor not in known:
        raise CallerError(
            f"--monitor={config.monitor} is not measured for this target; take one of "
            f"{', '.join(known)}"
        )


def _resume(run: Run, phase: Phase) -> tuple[int, dict[int, float]]:
    """Loads the newest epoch saved; returns the phase's first epoch, and the values so far."""
    rows = checkpoints.read_history(run.history)
    before = (int(row["epoch"]) - 1 for row in rows if int(row["phase"]) < phase.number)
    start = 1 + max(before, default=-1)
    saved = checkpoints.saved_epochs(phase.folder)
    last = saved[-1] if saved else start - 1
    values = checkpoints.read_values(run.history, run.monitor, phase=phase.number)
    strategy.wait_for_all(run.devices)
    if strategy.is_chief(run.devices):
        checkpoints.cut_history(run.history, last_epoch=last)
    if not saved:
        return start, {}
    with run.devices.scope():
        run.model.optimizer.build(run.model.trainable_variables)
    run.model.load_weights(checkpoints.epoch_path(phase.folder, last))
    return start, {epoch: value for epoch, value in values.items() if epoch <= last}


def _is_over(run: Run, phase: Phase, start: int, values: dict[int, float]) -> bool:
    """Whether the phase has had its epochs, or was not getting better any more."""
    impatient = run.monitor.epochs_since_best(values) >= phase.patience
    return len(values) >= phase.epochs or impatient


def _stop_if_late(run: Run) -> None:
    if run.deadline.over:
        raise OutOfTime(
            f"--max_minutes={run.config.max_minutes:g} are over, {run.directory} is not finished; "
            "give the same command again to go on"
        )


def _keep_best(run: Run, phase: Phase, values: dict[int, float]) -> None:
    """Loads the best epoch's weights, keeps its file alone, and so marks the phase as done."""
    best = run.monitor.best_epoch(values)
    path = checkpoints.epoch_path(phase.folder, best)
    run.model.load_weights(path)
    strategy.wait_for_all(run.devices)
    logging.info(
        "phase %d: best epoch %d, %s %.4f", phase.number, best + 1, run.monitor.name, values[best]
    )
    if strategy.is_chief(run.devices):
        path.replace(phase.best_path)
        checkpoints.remove(phase.folder)
