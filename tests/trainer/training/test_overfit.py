"""Every base must be able to learn 64 images by heart; `benchmarks.overfit` tries all of them.

With batch normalisation frozen the AUC of MobileNetV2 and ResNet50 stays at 0.5.
"""

import pytest

from benchmarks import overfit
from records.image_size import ImageSize


@pytest.mark.slow
@pytest.mark.parametrize(
    ("base", "alpha", "side"),
    [("mobilenetv2", 0.35, 64), ("efficientnetb0", 1.0, 32), ("resnet50", 1.0, 32)],
)
def test_a_base_learns_64_images_by_heart(base, alpha, side):
    aucs = overfit.learn_by_heart(base, alpha, ImageSize(side, side), epochs=40)
    assert max(aucs) == 1.0
