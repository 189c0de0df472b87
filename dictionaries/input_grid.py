"""InputGrid: the dyadic grid of each input column, on which dictionaries and networks take inputs.

A column x is kept as x = offset + 2**exponent * k with whole numbers k. Rounding to a grid makes
currents exact sums: weights are multiples of 2**-14 below 5.5 in size, so that with d * |x| of at
most 2**36 steps of one grid a sum has 53 bits. The grid follows the size of its column:

- inputs on the grid of 2**-20, with d * max|X| <= 2**16, keep it (:meth:`InputGrid.default`);
- others get 2**36 steps for d times their largest distance from the offset. All columns get the
  grid of the largest one, unless this is coarser than about 2**-22 of their spread.

Powers of two scale the grids with X. If a class has a bias, columns far from 0 get an
offset. If neurons have no scale of their own (threshold units), inputs are measured in units of
2**unit, so that the weights of sampled units fit the inputs. Columns of different sizes have
different grids. Their sums are then rounded, always in the same order (``kernels/rollout.py``).
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .validation import Array, check_flag, number_array, real_array, shown

_DEFAULT = -20  # exponent of the default grid
_BITS = 36  # steps of a grid for d times the largest input, as bits
_SPREAD_BITS = 22  # at least so many bits for the spread of a column smaller than others
_LARGEST = 2.0**500  # products with weights and their sums must not overflow
_SMALLEST = -600  # smallest exponent: products with weights must not vanish
_LEAST = _SMALLEST + _SPREAD_BITS + 1  # exponent of the smallest spread that keeps its bits
_MOST_STEPS = 2.0**52  # float64 holds every whole number up to it
_FAR = 8  # a column has an offset if its middle is this many times its spread away from 0
_MOVED = 2.0**-20  # share of a column's spread by which rounding may move it without a warning
_MERGED = 1e-3  # share of a column's distinct inputs that may become equal without a warning


class RoundedInputWarning(UserWarning):
    """Warning: a grid moves inputs by much, compared with the spread of their column."""


def as_sequences(X: ArrayLike, inputs: int | None = None) -> Array:
    """Return ``X`` as float64 (n, T, d), not rounded.

    Raises
    ------
    ValueError
        If X has another shape or no entries, or an entry is NaN, infinite or above 2**500 in size.
    """
    array = real_array("X", X)
    if array.ndim != 3:
        raise ValueError(f"X: expected sequences of shape (n, T, d), got {array.shape}")
    sequences = np.ascontiguousarray(array)
    if sequences.size == 0:
        raise ValueError(f"X: expected at least one entry, got shape {sequences.shape}")
    if inputs is not None and sequences.shape[2] != inputs:
        raise ValueError(f"X: expected {inputs} inputs per step, got {sequences.shape[2]}")
    if not np.isfinite(sequences).all():
        raise ValueError("X: expected finite numbers, got NaN or infinity")
    sizes = np.abs(sequences).max(axis=(0, 1))
    if sizes.max() > _LARGEST:
        raise ValueError(
            f"X: expected numbers of at most 2**500, got {sizes.max():.9g} in column "
            f"{sizes.argmax()} (from 0); scale X down"
        )
    return sequences


def check_sequences(X: ArrayLike, inputs: int | None = None) -> Array:
    """Round ``X`` (n, T, d) to float64 on the grid that :meth:`InputGrid.fit` chooses for it.

    Parameters
    ----------
    X : (n, T, d) array
    inputs : int, optional
        Expected number d of inputs.

    Raises
    ------
    ValueError
        If X has another shape or no entries, or an entry is NaN, infinite or above 2**500 in size.

    Warns
    -----
    RoundedInputWarning
        As :meth:`InputGrid.take`.
    """
    sequences = as_sequences(X, inputs)
    return InputGrid.fit(sequences).take(sequences, fitted=True)


@dataclass(frozen=True, eq=False)
class InputGrid:
    """Grid of each input column: x = offset + 2**exponent * k with whole numbers k.

    Attributes
    ----------
    exponents : (d,) int64 array
    offsets : (d,) float64 array
        0, except for columns far from 0 of a class with a bias.
    unit : int
        Hidden layers take (x - offset) / 2**unit; 0 except for dictionaries of threshold units.

    Raises
    ------
    ValueError
        If a part has another shape or range.

    Examples
    --------
    >>> from bidual.dictionaries import InputGrid
    >>> grid = InputGrid.fit([[[0.1, 1.0]], [[0.3, 1000.0]]])
    >>> grid.exponents.tolist()
    [-25, -25]
    >>> bool(abs(grid.take([[[0.1, 7.0]]]) - [0.1, 7.0]).max() < 2**-25)
    True
    """

    exponents: NDArray[np.int64]
    offsets: Array
    unit: int = 0

    def __post_init__(self) -> None:
        exponents = number_array("exponents", self.exponents)
        offsets = real_array("offsets", self.offsets)
        whole = exponents.dtype.kind == "i" and exponents.ndim == 1 and exponents.size > 0
        if not whole or (np.abs(exponents) > 1000).any():
            raise ValueError(
                f"exponents: expected whole numbers from -1000 to 1000, one per column, got "
                f"{self.exponents!r:.200}"
            )
        if offsets.shape != exponents.shape or not (np.abs(offsets) <= _LARGEST).all():
            raise ValueError(
                f"offsets: expected {exponents.size} numbers of at most 2**500, got "
                f"{self.offsets!r:.200}"
            )
        if isinstance(self.unit, bool) or not isinstance(self.unit, int) or abs(self.unit) > 1000:
            raise ValueError(f"unit: expected an int from -1000 to 1000, got {shown(self.unit)}")
        object.__setattr__(self, "exponents", exponents.astype(np.int64))
        object.__setattr__(self, "offsets", offsets)

    @classmethod
    def default(cls, inputs: int) -> Self:
        """Return the grid of 2**-20 for ``inputs`` columns, which older files have."""
        return cls(np.full(inputs, _DEFAULT), np.zeros(inputs))

    @classmethod
    def fit(cls, X: ArrayLike, scaled: bool = False, centred: bool = False) -> Self:
        """Choose the grid of each column of X (n, T, d).

        Parameters
        ----------
        X : (n, T, d) array
        scaled : bool
            Whether ``unit`` follows the size of X. Only threshold units may do so.
        centred : bool
            Whether columns may have an offset. Only classes with a bias may do so.

        Raises
        ------
        ValueError
            As :func:`as_sequences`, or if a column other than 0 has a spread below 2**-577, or as
            a constant a size below it.
        """
        scaled, centred = check_flag("scaled", scaled), check_flag("centred", centred)
        X = as_sequences(X)
        inputs = X.shape[2]
        low, high = X.min(axis=(0, 1)), X.max(axis=(0, 1))
        largest = float(np.maximum(-low, high).max())
        if inputs * largest <= 2.0 ** (_BITS + _DEFAULT):
            whole = X * 2.0**-_DEFAULT
            if np.array_equal(np.rint(whole), whole):
                return cls.default(inputs)
        offsets = far_offsets(low, high) if centred else np.zeros(inputs)
        ends: Array = np.stack([low - offsets, high - offsets])
        _refuse_vanishing(ends)
        exponents = _exponents(ends, np.abs(offsets))
        while True:  # until the rounded inputs, too, fit this grid; exponents only grow
            steps = 2.0**exponents
            rounded = np.rint(ends / steps) * steps
            before, found = exponents, _exponents(rounded, np.abs(offsets))
            found[~rounded.any(axis=0)] = _SMALLEST  # zeros are on every grid
            exponents = np.maximum(before, found)
            if np.array_equal(before, exponents):
                break
        reach = float(np.abs(rounded).max())
        unit = int(_power_above(reach)) - 2 if scaled and reach > 0 else 0
        return cls(exponents, offsets, unit)

    @property
    def inputs(self) -> int:
        """Number d of columns."""
        return self.exponents.size

    @property
    def is_default(self) -> bool:
        """Whether all columns have the grid of 2**-20 without an offset."""
        plain = self.unit == 0 and not self.offsets.any()
        return plain and bool((self.exponents == _DEFAULT).all())

    @property
    def exact(self) -> bool:
        """Whether all columns have one grid, so that currents of sampled weights are exact."""
        return bool((self.exponents == self.exponents[0]).all())

    def take(self, X: ArrayLike, fitted: bool = False) -> Array:
        """Return X (n, T, d) as hidden layers take it: rounded, without offsets, in units.

        Parameters
        ----------
        X : (n, T, d) array
            May lie far outside the range of the X that the grid was chosen for.
        fitted : bool
            Whether the grid was chosen for this X. Then also inputs that become equal warn.

        Raises
        ------
        ValueError
            As :func:`as_sequences`, or if an input is more than 2**52 steps from the offset.

        Warns
        -----
        RoundedInputWarning
            If rounding moves an input by more than 2**-20 of the spread of its column in X.
        """
        fitted, X = check_flag("fitted", fitted), as_sequences(X, self.inputs)
        low, high = X.min(axis=(0, 1)), X.max(axis=(0, 1))
        steps = 2.0**self.exponents
        reach = np.maximum(np.abs(low - self.offsets), np.abs(high - self.offsets))
        if (reach > _MOST_STEPS * steps).any():
            j = int((reach / steps).argmax())
            raise ValueError(
                f"X: expected inputs of column {j} (from 0) at most {_MOST_STEPS * steps[j]:.9g} "
                f"from {self.offsets[j]:.9g}, got {reach[j]:.9g}; scale the column as the inputs "
                "that the dictionary was made of"
            )
        centred = X - self.offsets
        found = centred / steps  # exact: steps are powers of two
        np.rint(found, out=found)
        found *= steps
        moved = np.abs(np.subtract(centred, found, out=centred)).max(axis=(0, 1))
        if moved.any():
            _warn(X, found, moved, high - low, fitted)
        if self.unit:
            found *= 2.0**-self.unit
        return found

    def take_first(self, sequences: Array, fitted: bool = False) -> Array:
        """Run :meth:`take` on the grid's columns; any other column is the ones of a bias."""
        own = self.inputs
        taken = self.take(sequences[..., :own], fitted)
        return np.concatenate([taken, sequences[..., own:]], axis=2)

    def holds(self, sequences: Array) -> bool:
        """Tell whether inputs, as hidden layers take them, are on the grid.

        A column that the grid lacks is the ones of a bias.
        """
        found = sequences[..., : self.inputs] * 2.0 ** (self.unit - self.exponents)
        rest = sequences[..., self.inputs :]
        return bool(np.array_equal(found, np.rint(found)) and (rest == 1).all())

    def first(self, inputs: int) -> "InputGrid":
        """Return the grid of the first columns."""
        if inputs == self.inputs:
            return self
        return InputGrid(self.exponents[:inputs], self.offsets[:inputs], self.unit)

    def to_json(self) -> dict[str, Any]:
        """Return the grid as a JSON object."""
        return {
            "exponents": self.exponents.tolist(),
            "offsets": self.offsets.tolist(),
            "unit": self.unit,
        }

    @classmethod
    def from_json(cls, told: Any) -> Self:
        """Read a result of :meth:`to_json`; raise ValueError for any other object."""
        if not isinstance(told, Mapping):
            raise ValueError(f"input_grid: expected a JSON object, got {told!r:.200}")
        try:
            grid = cls(np.array(told["exponents"]), np.array(told["offsets"]), told["unit"])
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"input_grid: expected the grid of inputs: {error!r}") from error
        if grid.to_json() != told:
            raise ValueError(f"input_grid: expected {grid.to_json()}, got {told!r:.1000}")
        return grid


def far_offsets(low: Array, high: Array) -> Array:
    """Return dyadic offsets of columns between two ends (d,): 0 unless a column is far from 0."""
    spread = high - low
    middle = np.where(spread > 0, low / 2 + high / 2, low)
    step = np.ldexp(1.0, np.frexp(spread)[1] - 1)  # the power of two below the spread
    near = np.where(spread > 0, np.rint(middle / step) * step, low)
    return np.where(np.abs(middle) > _FAR * spread, near, 0.0)


def _refuse_vanishing(ends: Array) -> None:
    """Raise ValueError if the smallest grid would lose differences of a column's inputs."""
    spread, reach = ends[1] - ends[0], np.abs(ends).max(axis=0)
    sizes = np.where(spread > 0, spread, reach)
    lost = (sizes > 0) & (sizes < 2.0**_LEAST)
    if lost.any():
        j = int(lost.argmax())
        raise ValueError(
            f"X: expected columns of zeros, or with a spread of at least 2**{_LEAST} "
            f"({2.0**_LEAST:.3g}), got {sizes[j]:.3g} in column {j} (from 0); scale the column up"
        )


def _exponents(ends: Array, offsets: Array) -> NDArray[np.int64]:
    """Return the exponents of columns between two ends (2, d): smaller ones for small columns."""
    low, high = ends
    reach = np.maximum(-low, high)
    sizes = len(low) * np.where(reach > 0, reach, offsets)
    own = _power_above(sizes) - _BITS
    common = own[sizes > 0].max(initial=_SMALLEST)
    spread = high - low
    most = np.where(spread > 0, _power_above(spread) - 1 - _SPREAD_BITS, common)
    # a column of zeros has no size of its own
    found = np.where(sizes > 0, np.maximum(own, np.minimum(common, most)), common)
    exponents: NDArray[np.int64] = np.maximum(found, _SMALLEST).astype(np.int64)
    return exponents


def _power_above(sizes: Any) -> Any:
    """Return the smallest p with size <= 2**p; 0 for size 0."""
    fraction, power = np.frexp(sizes)
    return power - (fraction == 0.5)


def _warn(X: Array, rounded: Array, moved: Array, spread: Array, fitted: bool) -> None:
    """Warn once if a column is moved by too much, or distinct inputs of it become equal."""
    told = (moved > _MOVED * spread) & (spread > 0)
    if fitted:
        for j in np.flatnonzero((moved > 0) & ~told).tolist():
            before, after = np.unique(X[..., j]).size, np.unique(rounded[..., j]).size
            told[j] = before - after >= _MERGED * before and before > after
    if told.any():
        columns = np.flatnonzero(told)
        j = int(columns[0])
        others = f", and those of {columns.size - 1} other columns" if columns.size > 1 else ""
        warnings.warn(
            f"X: rounding moves inputs of column {j} (from 0) by up to {moved[j]:.3g}, where the "
            f"column's spread is {spread[j]:.3g}{others}; small differences of such inputs are "
            "lost: give each size of inputs a column of its own, or take logarithms",
            RoundedInputWarning,
            stacklevel=3,
        )
