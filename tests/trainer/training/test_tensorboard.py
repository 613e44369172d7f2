"""What is shown of the first batch."""

import cv2
import numpy as np

from flags.training_config import TrainingConfig
from records.image_size import ImageSize
from trainer.model import network
from trainer.training import tensorboard


def test_what_the_network_sees_is_the_scaled_image():
    model, _ = network.build(TrainingConfig(alpha=0.35, weights="random"), ImageSize(64, 48))
    images = np.random.default_rng(0).integers(0, 65536, (3, 64, 48, 1), dtype=np.uint16)
    np.testing.assert_allclose(
        tensorboard.augmented_images(model, images), images / 65535, rtol=1e-5
    )


def test_the_first_batch_is_drawn_side_by_side(tmp_path):
    """Tall images of 64x32, one black to white from left to right, one grey."""
    ramp = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (64, 1))
    images = np.stack([ramp, np.full((64, 32), 0.5, np.float32)])[..., np.newaxis]
    tensorboard.draw_batch(images, ["benign", "malignant"], tmp_path / "batch.png")
    picture = cv2.imread(str(tmp_path / "batch.png"), cv2.IMREAD_GRAYSCALE)
    assert picture.shape == (256 + 40, 2 * (256 + 8))
    assert picture[100, 2] < 10
    assert picture[100, 125] > 245
    assert abs(int(picture[100, 264 + 60]) - 127) <= 1
    assert (picture[256:, :264] > 200).any()
    assert picture[100, 200] == 40  # beside the tall image
