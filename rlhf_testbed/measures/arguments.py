"""Checks that the measures share: what comes in becomes float arrays, or an error that names it.

    arrays(1, fitness=[1.0, 0.0], trait=[True, False])  # two float arrays of shape (2,)
    arrays(1, fitness=[1.0, 0.0], trait=[True])         # ValueError: fitness has shape (2,) but ...

`None` becomes NaN, so a task's traits (shown, not shown, not possible) can be passed as they are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlhf_testbed.shared.arrays import Floats, FloatsLike

ROUNDING = 1e-12
"""Relative size below which a difference is put down to floating-point rounding: thousands of times
the spacing of 64-bit floats (2.2e-16), and far below any effect that is reported."""


def arrays(dimensions: int, **values: FloatsLike) -> tuple[Floats, ...]:
    """The named values as float arrays of one common shape with that many dimensions.

    Raises `ValueError` naming the argument and its shape, or two arguments and both shapes.

    >>> arrays(1, fitness=[1, 0], trait=[True, None])
    (array([1., 0.]), array([ 1., nan]))
    """
    found = {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}
    first, *others = found
    if found[first].ndim != dimensions:
        shape = found[first].shape
        raise ValueError(f"{first} has shape {shape}; it must have {dimensions} dimension(s)")
    for name in others:
        if found[name].shape != found[first].shape:
            raise ValueError(
                f"{first} has shape {found[first].shape} but {name} has shape {found[name].shape}"
            )
    return tuple(found.values())


def flags(**values: FloatsLike) -> tuple[Floats, ...]:
    """Like `arrays(1, ...)`, for values that must be 0, 1 or NaN (unknown, or not possible).

    Raises `ValueError` naming the argument and the first value that is none of these.

    >>> flags(approved=[True, False, None])
    (array([ 1.,  0., nan]),)
    """
    found = arrays(1, **values)
    for name, array in zip(values, found, strict=True):
        strange = array[~np.isnan(array) & (array != 0) & (array != 1)]
        if strange.size:
            raise ValueError(f"{name} holds {strange[0]}; it must be 0, 1 or NaN")
    return found


def mean(values: Floats, weights: Floats | None = None) -> float:
    """Arithmetic mean, or the mean by `weights` of the same shape, which need not sum to 1.

    NaN where there is nothing to average, or where any value is NaN.

    >>> mean(np.array([1.0, 2.0]))
    1.5
    >>> mean(np.array([1.0, 2.0]), np.array([3.0, 1.0]))
    1.25
    """
    if weights is None:
        return float(values.mean()) if values.size else float("nan")
    total = float(weights.sum())
    return float((weights * values).sum()) / total if total else float("nan")


def weights_of(weights: Floats | None, chosen: npt.NDArray[np.bool_]) -> Floats | None:
    """The weights of the chosen episodes; None for none."""
    return None if weights is None else weights[chosen]
