"""Can a base learn at all? Each learns 64 images by heart: epochs until their AUC is 1.

python -m benchmarks.overfit [--bases=mobilenetv2,resnet50] [--size=96x96] [--epochs=60]

Random patterns with random labels; the base as one that is pretrained, phase 2 from the start. The
AUC is that of the network as it is kept, by its moving statistics. A base that fails has a brake.
"""

from __future__ import annotations

import time

import keras
import numpy as np
from absl import app, flags
from sklearn.metrics import roc_auc_score

from benchmarks import machine
from flags import network_config
from flags.training_config import TrainingConfig
from records.image_size import ImageSize
from trainer.model import network
from trainer.training import fine_tuning, optimizers

IMAGES, BATCH = 64, 16
BASES = flags.DEFINE_list("bases", list(network_config.BASES), "Bases to try.")
SIZE = flags.DEFINE_string("size", "96x96", "Size of the images.")
EPOCHS = flags.DEFINE_integer("epochs", 60, "At most so many.")


def main(_: list[str]) -> None:
    print(machine.describe())
    for base in BASES.value:
        alpha = min(network_config.ALPHAS.get(base, (1.0,)))
        start = time.perf_counter()
        aucs = learn_by_heart(base, alpha, ImageSize.parse(SIZE.value), epochs=EPOCHS.value)
        seconds = time.perf_counter() - start
        print(f"{base:20} AUC {aucs[-1]:.3f} after {len(aucs)} epochs, {seconds:.0f} s", flush=True)


def learn_by_heart(base: str, alpha: float, size: ImageSize, *, epochs: int) -> list[float]:
    """Trains until the AUC on the training images is 1; returns it after each epoch."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    config = TrainingConfig(
        base=base, alpha=alpha, weights="random", optimizer="adamw", batch_size=BATCH
    )
    model, _ = network.build(config, size)
    batch_norm = fine_tuning.choose_batch_norm(
        config, model, pretrained=True, devices=1, batches=IMAGES // BATCH
    )
    fine_tuning.unfreeze(model, config, batch_norm)
    model.compile(optimizers.make(config, rate=1e-3, model=model), "binary_crossentropy")
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 65536, (IMAGES, 8, 8, 1), dtype=np.uint16)
    pixels = coarse.repeat(-(-size.height // 8), 1).repeat(-(-size.width // 8), 2)
    pixels = pixels[:, : size.height, : size.width]
    labels = generator.permutation(np.arange(IMAGES) % 2).astype(np.float32)
    aucs: list[float] = []
    while len(aucs) < epochs and 1.0 not in aucs:
        model.fit(pixels, labels, batch_size=BATCH, verbose=0)
        said = model.predict(pixels, batch_size=BATCH, verbose=0)
        aucs.append(float(roc_auc_score(labels, said)))
    return aucs


if __name__ == "__main__":
    app.run(main)
