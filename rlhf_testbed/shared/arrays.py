"""The array types that the measures speak."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
"""A NumPy array of 64-bit floats."""

FloatsLike: TypeAlias = npt.ArrayLike
"""What a measure accepts: anything that NumPy turns into an array of numbers."""
