"""ClassRecord: the network class of a dictionary, as plain values that a file can store.

``formulations/`` converts classes to records and back. A record also defines the neurons of its
class, so that loading refuses a file whose witnesses have other neurons.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Literal, Self, get_args

import numpy as np

from .neuron import Layer, Neuron, Range, Reset
from .validation import check_whole, is_number, shown
from .witnesses.neuron_witnesses import NeuronWitnesses
from .witnesses.sampled import SampledWitnesses, Witnesses, check_widths

Kind = Literal["LIF", "Feedforward", "Recurrent"]
Readout = Literal["last", "every"]
Gauge = Literal["subnetwork", "neuron"]

_FLOAT32 = 2.0**-22  # relative tolerance for constants of networks trained in float32


@dataclass(frozen=True)
class ClassRecord:
    """Parameters of a network class, and whether a dictionary holds all of its atoms.

    Parameters
    ----------
    kind : {"LIF", "Feedforward", "Recurrent"}
    hidden : sequence of int
        Width of each hidden layer of one subnetwork.
    leak, threshold, reset
        Constants of LIF neurons; 0 for threshold units.
    bias : bool
        Whether sequences end with a column of ones (``Feedforward``).
    readout : {"last", "every"}
    p : float
    gauge : {"subnetwork", "neuron"}
    complete : bool
        Whether the dictionary holds every atom that a final neuron of the class can fire on its
        sequences.
    exact_leak : (numerator, denominator), optional
        Exact leak of the enumeration of a complete dictionary of LIF neurons; ``leak`` is the
        float64 closest to it.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or does not belong to that kind of class.

    Examples
    --------
    >>> import bidual as bd
    >>> record = bd.LIF(hidden=(4, 2), leak=0.9).record()
    >>> record.kind, record.hidden, record.leak, record.complete
    ('LIF', (4, 2), 0.9, False)
    """

    kind: Kind
    hidden: Sequence[int]
    leak: Range = 0.0
    threshold: Range = 0.0
    reset: Reset = 0.0
    bias: bool = False
    readout: Readout = "last"
    p: float = 2.0
    gauge: Gauge = "subnetwork"
    complete: bool = False
    exact_leak: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind: expected one of {get_args(Kind)}, got {self.kind!r}")
        object.__setattr__(self, "hidden", check_widths(self.hidden))
        if self.readout not in get_args(Readout):
            raise ValueError(f"readout: expected 'last' or 'every', got {self.readout!r}")
        if not (is_number(self.p) and self.p >= 1):
            raise ValueError(f"p: expected a number in [1, inf], got {shown(self.p)}")
        object.__setattr__(self, "p", float(self.p))
        if self.gauge not in get_args(Gauge):
            raise ValueError(f"gauge: expected 'subnetwork' or 'neuron', got {self.gauge!r}")
        for name in ("bias", "complete"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise ValueError(f"{name}: expected True or False, got {getattr(self, name)!r}")
            object.__setattr__(self, name, bool(getattr(self, name)))
        neuron = Neuron(self.leak, self.threshold, self.reset)
        for name in ("leak", "threshold", "reset"):
            object.__setattr__(self, name, getattr(neuron, name))
        if self.kind == "LIF":
            if not np.min(self.threshold) > 0:
                raise ValueError(f"threshold: expected numbers above 0, got {self.threshold}")
        elif (self.leak, self.threshold, self.reset) != (0.0, 0.0, 0.0):
            raise ValueError(
                f"leak, threshold, reset: expected 0 for {self.kind}, got "
                f"{(self.leak, self.threshold, self.reset)}"
            )
        if self.kind != "Feedforward" and self.bias:
            raise ValueError(f"bias: expected False for {self.kind}, got True")
        if self.kind == "Feedforward" and self.readout != "last":
            raise ValueError(
                "readout: expected 'last' for Feedforward, whose inputs have one step, got "
                f"{self.readout!r}"
            )
        self._check_exact_leak()

    def _check_exact_leak(self) -> None:
        """Raise ValueError unless ``exact_leak`` fits a complete dictionary of LIF neurons."""
        if not (self.complete and self.kind == "LIF"):
            if self.exact_leak is not None:
                raise ValueError(
                    "exact_leak: expected None, except for complete dictionaries of LIF neurons, "
                    f"got {self.exact_leak!r}"
                )
            return
        if len(self.hidden) > 1 or self.reset not in ("delayed", "immediate"):
            raise ValueError(
                "complete: expected False for LIF neurons, except with one layer and reset "
                "'delayed' or 'immediate', got True"
            )
        try:
            numerator, denominator = self.exact_leak  # type: ignore[misc]
        except (TypeError, ValueError) as error:
            raise ValueError(f"exact_leak: expected two ints, got {self.exact_leak!r}") from error
        check_whole("exact_leak", denominator, 1)
        check_whole("exact_leak", numerator, 0, denominator)
        if numerator / denominator != self.leak:
            raise ValueError(
                f"exact_leak: expected a fraction whose closest float64 is leak {self.leak}, got "
                f"{self.exact_leak!r}"
            )
        object.__setattr__(self, "exact_leak", (int(numerator), int(denominator)))

    @property
    def neuron(self) -> Neuron:
        """Return the constants of the class's neurons."""
        return Neuron(self.leak, self.threshold, self.reset)

    @property
    def fraction(self) -> Fraction | None:
        """Return the exact leak of a complete dictionary, else None."""
        return None if self.exact_leak is None else Fraction(*self.exact_leak)

    @property
    def hears_others(self) -> bool:
        """Whether a final neuron has recurrent input from others and cannot be copied."""
        return self.kind == "Recurrent" and self.gauge == "neuron" and self.hidden[-1] > 1

    def layers(self) -> list[Layer]:
        """Return layers with the class's constants, at both ends of their ranges."""
        return [_ends(self.neuron, self.kind == "Recurrent")] * len(self.hidden)

    def refuses(self, layer: Layer) -> str:
        """Describe the neurons of the class if the layer has other neurons; else return "".

        The check ignores the scale of a membrane, biases and whether a tie fires, and LIF layers
        may be recurrent: trained neurons differ in these.
        """
        if self.kind == "Recurrent":
            return "" if layer.forgets else "threshold units (leak and reset 0)"
        if self.kind == "Feedforward":
            if layer.forgets and layer.recurrent is None:
                return ""
            return "threshold units (leak and reset 0) without recurrence"
        leaks, thresholds = np.resize(self.leak, 2), np.resize(self.threshold, 2)
        low, high = leaks * (1.0 + np.array([-_FLOAT32, _FLOAT32]))
        if not ((layer.leak >= low) & (layer.leak <= high)).all():
            return f"neurons of leak {_shown(self.leak)}"
        if not (layer.threshold > 0).all():
            return "neurons of thresholds above 0"
        taken = self.reset
        if taken == "hard" or layer.hard:
            return "" if layer.hard and taken == "hard" else f"neurons of reset {taken!r}"
        # only as a share of the threshold is the reset independent of the membrane's scale
        shares: Any = {"delayed": 1.0, "immediate": layer.leak}
        least, most = (shares[taken],) * 2 if isinstance(taken, str) else taken / thresholds[::-1]
        share = layer.reset / layer.threshold
        if not ((share >= least * (1.0 - _FLOAT32)) & (share <= most * (1.0 + _FLOAT32))).all():
            return f"neurons of threshold {_shown(self.threshold)} and reset {taken!r}"
        return ""

    def check(self, witnesses: Witnesses, readout: Readout) -> None:
        """Raise ValueError unless a bank and a readout belong to the class."""
        if readout != self.readout:
            raise ValueError(f"record: expected the readout {readout!r}, got {self.readout!r}")
        widths = tuple(witnesses.hidden)
        # the final neuron is copied, unless it hears others
        apart = self.hears_others and widths[-1] != self.hidden[-1]
        if len(widths) != len(self.hidden) or widths[:-1] != self.hidden[:-1] or apart:
            raise ValueError(f"record: expected layers of {widths} neurons, got {self.hidden}")
        check_layers("witnesses", layers_of(witnesses, range(witnesses.subnetworks)), self.refuses)

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        told = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }
        return told | {"p": "inf" if self.p == np.inf else self.p}

    @classmethod
    def from_json(cls, told: Any) -> Self:
        """Read a result of :meth:`to_json`; raise ValueError for any other object."""
        if not isinstance(told, Mapping):
            raise ValueError(f"record: expected a JSON object, got {told!r:.200}")
        parts: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in told.items()
        }
        try:
            record = cls(**parts | {"p": np.inf if told["p"] == "inf" else told["p"]})
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"record: expected a network class's record: {error!r}") from error
        if record.to_json() != told:
            raise ValueError(f"record: expected {record.to_json()}, got {told!r:.1000}")
        return record


def layers_of(witnesses: Witnesses, subnetworks: Iterable[int]) -> Iterator[list[Layer]]:
    """Yield layers that cover all kinds of neurons in the given subnetworks of a bank.

    The neurons of a sampled bank do not depend on its weights, so these are not drawn.
    """
    if isinstance(witnesses, SampledWitnesses):
        yield [_ends(witnesses.neuron, witnesses.recurrent)] * len(witnesses.hidden)
    elif isinstance(witnesses, NeuronWitnesses):
        yield [witnesses.layer]
    else:
        yield from map(witnesses.layers, subnetworks)


def check_layers(
    name: str, subnetworks: Iterable[list[Layer]], refuses: Callable[[Layer], str]
) -> None:
    """Raise ValueError, by ``name``, if a layer is refused."""
    for layers in subnetworks:
        for depth, layer in enumerate(layers):
            if reason := refuses(layer):
                raise ValueError(
                    f"{name}: expected {reason}, got {_told(layer)} in layer {depth + 1}"
                )


def _ends(neuron: Neuron, recurrent: bool) -> Layer:
    return Layer.build(
        np.zeros((1, 2)),
        np.resize(neuron.leak, 2),
        np.resize(neuron.threshold, 2),
        neuron.reset,
        recurrent=np.ones((2, 2)) if recurrent else None,
        strict=neuron.strict,
    )


def _shown(between: Range) -> str:
    return " to ".join(f"{end:g}" for end in np.atleast_1d(between))


def _told(layer: Layer) -> str:
    """Describe the constants of a layer in words."""
    parts = []
    for name in ("leak", "threshold", "reset"):
        ends = dict.fromkeys(f"{end:.9g}" for end in np.sort(getattr(layer, name))[[0, -1]])
        parts.append(f"{name} {' to '.join(ends)}")
    parts += ["a hard reset"] if layer.hard else []
    parts += ["recurrent weights"] if layer.recurrent is not None else []
    return ", ".join(parts)
