"""A base learns 64 images by heart; `benchmarks.overfit` tries all of them.

With batch normalisation frozen the AUC of MobileNetV2 stays at 0.5.
"""

import pytest

from benchmarks import overfit
from records.image_size import ImageSize


@pytest.mark.slow
def test_a_base_learns_64_images_by_heart():
    aucs = overfit.learn_by_heart("mobilenetv2", 0.35, ImageSize(64, 64), epochs=40)
    assert max(aucs) == 1.0
