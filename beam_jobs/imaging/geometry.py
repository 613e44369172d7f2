"""Affine transform record -> image, noted step by step by the steps that move pixels.

trail = Trail()
record = recipe.prepare(image, "paper", size, trail=trail)
column, row, _ = trail.matrix @ (record_column, record_row, 1)  # of the image
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Trail:
    """Affine transform from the pixels made so far back to the image.

    Coordinates are (column, row); whole numbers are centres of pixels, (0, 0) the upper left one.

    Attributes:
        matrix: [3, 3] float64, affine: (column, row, 1) of a pixel now -> of the image.
    """

    def __init__(self) -> None:
        self.matrix: NDArray[np.float64] = np.eye(3)

    def cut(self, *, left: int, top: int) -> None:
        """Notes that rows and columns before (left, top) were cut off; negative: were added."""
        self._precede([[1, 0, left], [0, 1, top], [0, 0, 1]])

    def mirror(self, *, width: int) -> None:
        """Notes that an image of `width` columns was mirrored."""
        self._precede([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]])

    def scale(self, *, across: float, down: float) -> None:
        """Notes that each pixel took the place of `across` columns and `down` rows.

        Areas are scaled, not centres: pixel i now covers [i, i + 1) * factor, in units of pixels
        and counted from the edge of the first (OpenCV, geometric transformations, resize).
        """
        self._precede([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])

    def magnify(self, *, level: int) -> None:
        """Notes that the low band of a wavelet was decoded: its pixel i is centred on i * 2^level.

        The low-pass filters of JPEG 2000 are symmetric about even samples, ITU-T T.800 F.3.
        """
        self._precede([[2**level, 0, 0], [0, 2**level, 0], [0, 0, 1]])

    def _precede(self, step: list[list[float]]) -> None:
        self.matrix = self.matrix @ np.array(step, np.float64)
