"""Dynamics of spiking neurons: their constants, for a single neuron and for a layer.

One recurrence covers threshold units, recurrent threshold units and leaky
integrate-and-fire neurons, with u[0] = s[0] = 0:

    u[t] = leak * u[t-1] + current[t] - reset * s[t-1],   s[t] = [u[t] >= threshold]
    current[t] = bias + x[t] W + s[t-1] R

where x is the layer's input and R its recurrent weights. A threshold unit keeps no
membrane: its leak, threshold and reset are 0. Libraries differ in their conventions
of reset, and these define different networks:

- "delayed": reset = threshold, subtracted at the next step, as in snnTorch;
- "immediate": reset = leak * threshold, which equals u - threshold within the step
  (spikingjelly's and norse's soft reset);
- "hard": u is 0 after a spike (spikingjelly's default, snnTorch's "zero", NIR);
- a number: the value of reset.
"""

from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .validation import check_flag, is_number, number_array, real_array, shown

Reset = float | Literal["delayed", "immediate", "hard"]
Range = float | tuple[float, float]


def _check_range(name: str, value: Range, low: float, high: float) -> Range:
    """Return a number, or a pair low <= high of them, within [low, high]."""
    ends = real_array(name, value, "a number or a (low, high) pair")
    if ends.shape not in ((), (2,)):
        raise ValueError(f"{name}: expected a number or a (low, high) pair, got {value!r}")
    if (
        not (np.isfinite(ends) & (ends >= low) & (ends <= high)).all()
        or ends.flat[0] > ends.flat[-1]
    ):
        limits = f" in [{low:g}, {high:g}]" if np.isfinite(high) else ""
        raise ValueError(f"{name}: expected finite numbers{limits}, low <= high, got {value!r}")
    return (float(ends[0]), float(ends[1])) if ends.ndim else float(ends)


@dataclass(frozen=True)
class Neuron:
    """Constants of a type of neuron; a (low, high) pair is a range to sample from.

    Parameters
    ----------
    leak : float or (low, high)
        Share of the membrane kept from step to step, in [0, 1].
    threshold : float or (low, high)
        Membrane at which the neuron fires.
    reset : {"delayed", "immediate", "hard"} or float
        Amount that a spike subtracts from the membrane at the next step; a number is
        at least 0. The module's docstring defines the names.
    strict : bool
        Fire if u > threshold, instead of u >= threshold. They differ at exact ties.

    Raises
    ------
    ValueError
        If a constant is out of its range.

    Examples
    --------
    >>> from bidual.dictionaries import Neuron
    >>> Neuron(leak=0.9, threshold=(0.5, 1.5), reset="immediate")
    Neuron(leak=0.9, threshold=(0.5, 1.5), reset='immediate', strict=False)
    """

    leak: Range
    threshold: Range
    reset: Reset = "delayed"
    strict: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "leak", _check_range("leak", self.leak, 0.0, 1.0))
        limits = (-np.inf, np.inf)
        object.__setattr__(self, "threshold", _check_range("threshold", self.threshold, *limits))
        if isinstance(self.reset, str):
            if self.reset not in ("delayed", "immediate", "hard"):
                raise ValueError(
                    f"reset: expected 'delayed', 'immediate', 'hard' or a number, "
                    f"got {self.reset!r}"
                )
        elif not is_number(self.reset):
            raise ValueError(f"reset: expected a name or a number, got {shown(self.reset)}")
        elif not 0 <= self.reset < np.inf:
            raise ValueError(f"reset: expected a finite number >= 0, got {self.reset}")
        else:
            object.__setattr__(self, "reset", float(self.reset))
        object.__setattr__(self, "strict", check_flag("strict", self.strict))


def per_neuron(name: str, value: ArrayLike, width: int) -> NDArray[np.float64]:
    """Return a constant of each neuron, (m,), given as a number or an array (m,) or (1, m).

    Raises
    ------
    ValueError
        If it has another shape, or is not real.
    """
    array = real_array(name, value)
    if array.shape not in ((), (1,), (width,), (1, width)):
        raise ValueError(f"{name}: expected a number or shape ({width},), got {array.shape}")
    return np.broadcast_to(array.ravel(), width).copy()


THRESHOLD_UNIT = Neuron(leak=0.0, threshold=0.0, reset=0.0)


@dataclass(frozen=True, eq=False)
class Layer:
    """Layer of m spiking neurons: weights, and the constants of each neuron, as arrays.

    :meth:`build` makes a layer from numbers and the names of resets.

    Attributes
    ----------
    weights : (fan-in, m) array
    leak, threshold, reset, bias : (m,) arrays
    recurrent : (m, m) array or None
        A spike of neuron j adds row j to the currents of the next step.
    hard : bool
        Whether u is 0 after a spike; ``reset`` is then 0.
    strict : bool
        Whether neurons fire if u > threshold, instead of u >= threshold.

    Raises
    ------
    ValueError
        If an array is not finite float64 of its shape, or a leak is outside [0, 1].
    """

    weights: NDArray[np.float64]
    leak: NDArray[np.float64]
    threshold: NDArray[np.float64]
    reset: NDArray[np.float64]
    bias: NDArray[np.float64]
    recurrent: NDArray[np.float64] | None = None
    hard: bool = False
    strict: bool = False

    def __post_init__(self) -> None:
        fan_in, width = 0, 0
        for name in ("weights", "leak", "threshold", "reset", "bias", "recurrent"):
            value = getattr(self, name)
            if value is None and name == "recurrent":
                continue
            array = real_array(name, value)
            if not isinstance(value, np.ndarray) or value.dtype != np.float64:
                raise ValueError(f"{name}: expected a float64 array, got {type(value).__name__}")
            if name == "weights":
                if array.ndim != 2 or array.size == 0:
                    raise ValueError(f"weights: expected shape (fan-in, m), got {array.shape}")
                fan_in, width = array.shape
            shape = {"weights": (fan_in, width), "recurrent": (width, width)}.get(name, (width,))
            if array.shape != shape or not np.isfinite(array).all():
                what = "NaN or infinity" if array.shape == shape else f"shape {array.shape}"
                raise ValueError(f"{name}: expected finite numbers of shape {shape}, got {what}")
            object.__setattr__(self, name, np.ascontiguousarray(array))
        if not ((self.leak >= 0) & (self.leak <= 1)).all():
            raise ValueError(f"leak: expected numbers in [0, 1], got {self.leak}")
        for name in ("hard", "strict"):
            object.__setattr__(self, name, check_flag(name, getattr(self, name)))
        if self.hard and self.reset.any():
            raise ValueError(f"reset: expected 0 in a hard reset (hard=True), got {self.reset}")

    @classmethod
    def build(
        cls,
        weights: ArrayLike,
        leak: ArrayLike,
        threshold: ArrayLike,
        reset: ArrayLike = "delayed",
        bias: ArrayLike = 0.0,
        recurrent: ArrayLike | None = None,
        strict: bool = False,
    ) -> Self:
        """Build a layer; a number applies to all its neurons, and ``reset`` may be a name.

        A constant is a number or an array (m,) or (1, m), as other libraries keep it.

        Raises
        ------
        ValueError
            If an argument has another shape, or is out of its range.

        Examples
        --------
        >>> from bidual.dictionaries import Layer
        >>> Layer.build([[1.0, 2.0]], leak=0.5, threshold=[1.0, 3.0], reset="immediate").reset
        array([0.5, 1.5])
        """
        matrix = real_array("weights", weights).copy()
        if matrix.ndim != 2:
            raise ValueError(f"weights: expected shape (fan-in, m), got {matrix.shape}")

        width = matrix.shape[1]
        leaks = per_neuron("leak", leak, width)
        thresholds = per_neuron("threshold", threshold, width)
        if isinstance(reset, str):
            amounts: dict[str, ArrayLike] = {
                "delayed": thresholds,
                "immediate": leaks * thresholds,
                "hard": 0.0,
            }
            if reset not in amounts:
                raise ValueError(f"reset: expected a number or {list(amounts)}, got {reset!r}")
            taken = per_neuron("reset", amounts[reset], width)
        else:
            taken = per_neuron("reset", reset, width)
            if (taken < 0).any():
                raise ValueError(f"reset: expected a name or numbers >= 0, got {reset}")
        return cls(
            weights=matrix,
            leak=leaks,
            threshold=thresholds,
            reset=taken,
            bias=per_neuron("bias", bias, width),
            recurrent=None if recurrent is None else real_array("recurrent", recurrent).copy(),
            hard=isinstance(reset, str) and reset == "hard",
            strict=strict,
        )

    def __repr__(self) -> str:
        kinds = [name for name in ("hard", "strict") if getattr(self, name)]
        kinds += [] if self.recurrent is None else ["recurrent"]
        return f"Layer({', '.join([f'{self.fan_in} to {self.width} neurons', *kinds])})"

    @property
    def fan_in(self) -> int:
        """Number of inputs of the layer."""
        return int(self.weights.shape[0])

    @property
    def width(self) -> int:
        """Number m of neurons of the layer."""
        return int(self.weights.shape[1])

    @property
    def forgets(self) -> bool:
        """Whether all neurons are threshold units, which keep no membrane between steps."""
        return not (self.leak.any() or self.reset.any() or self.hard)

    def take(self, neurons: ArrayLike) -> "Layer":
        """Return the layer of the chosen neurons; a neuron may be chosen more than once.

        Raises
        ------
        ValueError
            If the layer is recurrent: its neurons depend on each other.
        """
        if self.recurrent is not None:
            raise ValueError("neurons: expected a layer without recurrent weights; use it whole")
        chosen = number_array("neurons", neurons)
        parts = ("leak", "threshold", "reset", "bias")
        return replace(
            self,
            weights=self.weights[:, chosen],
            **{name: getattr(self, name)[chosen] for name in parts},
        )
