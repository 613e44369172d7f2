"""Flags -> a Keras optimizer, and callbacks that set its learning rate.

Rates are functions of the epoch (and, in a warm-up, of the batch), so a run resumed goes on with
them: the rate itself is saved with the optimizer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from flags import schedule_spec
from flags.optimization_config import Optimization
from flags.spec import Spec

PLATEAU_FACTOR = 0.1
"""Jaamour et al. 2023, transfer learning: a tenth of the rate on a plateau."""


def make(
    config: Optimization,
    *,
    rate: float,
    model: keras.Model,
    slowed: Sequence[tuple[keras.Variable, float]] = (),
) -> keras.optimizers.Optimizer:
    """Makes the optimizer of a phase.

    Weight decay spares biases and what normalisations learn: all variables of one axis.

    Args:
        config: which optimizer.
        rate: learning rate it begins with.
        model: what it trains.
        slowed: variables that learn at another rate, and the rate's factor.
    """
    optimizer = _make(config, rate)
    spared = [weight for weight in model.trainable_weights if len(weight.shape) < 2]
    optimizer.exclude_from_weight_decay(var_list=spared)
    if slowed:
        _slow_down(optimizer, slowed)
    return optimizer


def _make(config: Optimization, rate: float) -> keras.optimizers.Optimizer:
    options: dict[str, Any] = {
        "learning_rate": rate,
        "gradient_accumulation_steps": config.accumulate if config.accumulate > 1 else None,
    }
    if config.weight_decay is not None:  # else Keras's default, which of AdamW is not none
        options["weight_decay"] = config.weight_decay
    if config.ema:
        options.update(use_ema=True, ema_momentum=config.ema)
    match config.optimizer:
        case "sgd":
            return keras.optimizers.SGD(momentum=config.momentum, **options)
        case "rmsprop":
            return keras.optimizers.RMSprop(momentum=config.momentum, **options)
        case "adagrad":
            return keras.optimizers.Adagrad(**options)
        case "adamw":
            return keras.optimizers.AdamW(**options)
    return keras.optimizers.Adam(**options)


def _slow_down(
    optimizer: keras.optimizers.Optimizer, slowed: Sequence[tuple[keras.Variable, float]]
) -> None:
    """Multiplies the rate of variables, that of their decay too.

    Keras has one rate for all. The methods of this one optimizer are replaced, and not its class,
    so that a model saved with it opens without this program.
    """
    factors = {optimizer._var_key(variable): factor for variable, factor in slowed}
    step, decay = optimizer.update_step, optimizer.weight_decay

    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
        own = learning_rate * factors.get(optimizer._var_key(variable), 1.0)
        if decay and optimizer._use_weight_decay(variable):
            variable.assign_sub(variable * decay * own)
        step(gradient, variable, own)

    optimizer.update_step = update_step
    optimizer._apply_weight_decay = lambda variables: None


def fraction(schedule: Spec, epoch: int, *, epochs: int) -> float:
    """Returns the part of the learning rate, 0 to 1, that an epoch is trained with.

    Args:
        schedule: as `flags.schedule_spec.parse` reads it.
        epoch: counted from the first one after the warm-up, 0 to epochs - 1.
        epochs: how many there are at most.
    """
    given: dict[str, Any] = dict(schedule.parameters)
    progress = epoch / epochs
    match schedule.name:
        case "step":
            return given["factor"] ** (epoch // given["every"])
        case "exponential":
            return given["rate"] ** epoch
        case "linear":
            return 1 - (1 - given["end"]) * progress
        case "sqrt":
            return 1 / math.sqrt(1 + epoch)
        case "cosine":  # Loshchilov and Hutter 2017, equation 5, one cycle
            return given["end"] + (1 - given["end"]) * (1 + math.cos(math.pi * progress)) / 2
    return 1.0


class WarmUp(keras.callbacks.Callback):
    """Raises the rate batch by batch, from one step's worth to the whole, in the first epochs.

    Goyal et al. 2017, section 2.2. What a plateau cuts meanwhile is forgotten.
    """

    def __init__(self, *, rate: float, start: int, epochs: int, batches: int) -> None:
        super().__init__()
        self._rate, self._start, self._epochs, self._batches = rate, start, epochs, batches

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Notes the epoch; ends the warm-up."""
        self._before = (epoch - self._start) * self._batches
        if epoch == self._start + self._epochs:
            self.model.optimizer.learning_rate = self._rate

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Sets the rate of a batch."""
        step, steps = self._before + batch + 1, self._epochs * self._batches
        if step <= steps:
            self.model.optimizer.learning_rate = self._rate * step / steps


def learning_rate_callbacks(
    config: Optimization, *, rate: float, start: int, epochs: int, batches: int
) -> list[keras.callbacks.Callback]:
    """Makes the callbacks that set the rate of a phase's epochs and batches.

    Each epoch multiplies the rate by the ratio of two neighbours of the schedule, so that a cut by
    a plateau stays.

    Args:
        config: has the schedule and the warm-up.
        rate: of the phase.
        start: first epoch of the phase.
        epochs: how many it has at most.
        batches: of an epoch.
    """
    decay = schedule_spec.parse(config.schedule)
    first = start + config.warmup_epochs
    last = epochs - config.warmup_epochs

    def next_rate(epoch: int, now: float) -> float:
        if epoch <= first:
            return now
        here, before = (fraction(decay, e - first, epochs=last) for e in (epoch, epoch - 1))
        return now * here / before

    made: list[keras.callbacks.Callback] = []
    if config.warmup_epochs:
        made.append(WarmUp(rate=rate, start=start, epochs=config.warmup_epochs, batches=batches))
    made.append(keras.callbacks.LearningRateScheduler(next_rate))
    return made
