"""Network: K parallel subnetworks of spiking layers with a linear readout; what all kinds share."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..dictionaries import Layer, Readout, SpikeDictionary, check_sequences, roll
from ..dictionaries.files.packed_head import Path
from ..dictionaries.rollout import spike_counts
from ..dictionaries.validation import check_whole, is_number
from ..dictionaries.witnesses.sampled import check_widths
from .files import read_network, write_network
from .membranes import roll_membranes
from .operations import SynapticOperations, count_operations
from .plots import draw_membranes, draw_raster

_SAMPLES_PER_BLOCK = 4096  # bounds the spikes of a simulation


@dataclass(frozen=True, eq=False)
class Network:
    """f(X) = sum_k s_k(X) R_k + b, with s_k the final spikes of subnetwork k.

    Where the readout leaks, s_k at a step is their sum so far, leaking.

    Attributes
    ----------
    subnetworks : sequence of K sequences of Layer
        Hidden layers of each subnetwork; the last is of width m.
    inputs : int
        Inputs d of a step.
    hidden : tuple of int
        Width of each hidden layer of a subnetwork.
    readout_weights : (K, m, C) array
        R_k for each subnetwork.
    intercept : (C,) array
    readout : {"last", "every"}
        Whether outputs are read at the last step or at every step.
    classes : array or None
        Labels: two for one output, else one an output; None for regression.
    readout_leak : float
        Share of the outputs, without their intercept, that stays from step to step, in
        [0, 1]: above 0 the readout integrates what the spikes of all steps bring.

    Raises
    ------
    ValueError
        If a part does not fit the others, or layers are not of the kind of the network.
    """

    subnetworks: Sequence[Sequence[Layer]]
    inputs: int
    hidden: tuple[int, ...]
    readout_weights: NDArray[np.float64]
    intercept: NDArray[np.float64]
    readout: Readout
    classes: NDArray[np.generic] | None
    readout_leak: float = 0.0

    _across = "step"  # what plots have across

    def __post_init__(self) -> None:
        check_whole("inputs", self.inputs, 1)
        object.__setattr__(self, "hidden", check_widths(self.hidden))
        if self.readout not in get_args(Readout):
            raise ValueError(f"readout: expected 'last' or 'every', got {self.readout!r}")
        if not (is_number(self.readout_leak) and 0 <= self.readout_leak <= 1):
            raise ValueError(
                f"readout_leak: expected a number in [0, 1], got {self.readout_leak!r}"
            )
        shapes = list(zip((self.inputs, *self.hidden[:-1]), self.hidden, strict=True))
        for k, layers in enumerate(self.subnetworks):
            found = [layer.weights.shape for layer in layers]
            if found != shapes:
                raise ValueError(
                    f"subnetworks: expected layers of shapes {shapes} in subnetwork {k}, "
                    f"got {found}"
                )
            for depth, layer in enumerate(layers):
                if reason := self.refuses(layer):
                    raise ValueError(
                        f"subnetworks: expected {reason} in a {type(self).__name__}, got another "
                        f"layer {depth + 1} in subnetwork {k}"
                    )
        outputs = np.size(self.intercept)
        for name, shape in (
            ("readout_weights", (len(self.subnetworks), self.hidden[-1], outputs)),
            ("intercept", (outputs,)),
        ):
            array = np.asarray(getattr(self, name), dtype=np.float64)
            if array.shape != shape or not np.isfinite(array).all():
                what = "NaN or infinity" if array.shape == shape else f"shape {array.shape}"
                raise ValueError(f"{name}: expected finite numbers of shape {shape}, got {what}")
            object.__setattr__(self, name, array)
        if self.classes is not None:
            labels = np.asarray(self.classes)
            if labels.shape != (max(outputs, 2),):
                raise ValueError(
                    f"classes: expected shape ({max(outputs, 2)},), got {labels.shape}"
                )
            if any(isinstance(label, float) and np.isnan(label) for label in labels.tolist()):
                raise ValueError("classes: expected labels, got NaN")
            object.__setattr__(self, "classes", labels)

    @classmethod
    def rebuild(
        cls,
        dictionary: SpikeDictionary,
        weights: NDArray[np.float64],
        intercept: NDArray[np.float64],
        classes: NDArray[np.generic] | None = None,
    ) -> Self:
        """Build the network that computes D W + b.

        Each active atom becomes one subnetwork: its witness, whose final layer
        is m copies of the neuron that fires the atom, with c / m on each copy.
        The readout then has the norm |c| / m**(1/q) that the program charges
        (Udupi, Yang and Zhai 2026, section 3.4). In a recurrent final layer a neuron
        that hears itself alone is copied too, each copy hearing itself; neurons that
        hear others need them: such a layer stays whole, with c on the one neuron.

        Parameters
        ----------
        dictionary : SpikeDictionary
            P atoms with their witnesses.
        weights : (P, C) array
        intercept : (C,) array
        classes : array, optional

        Raises
        ------
        ValueError
            If ``weights`` has another number of rows than the dictionary has
            atoms, intercept or classes do not fit its outputs, or the
            dictionary is not one of this kind of network.
        """
        atoms = dictionary.atoms.shape[1]
        if weights.ndim != 2 or weights.shape[0] != atoms:
            raise ValueError(f"weights: expected shape ({atoms}, C), got {weights.shape}")
        outputs = weights.shape[1]
        if np.shape(intercept) != (outputs,):
            raise ValueError(f"intercept: expected shape ({outputs},), got {np.shape(intercept)}")
        active = np.flatnonzero(weights.any(axis=1))
        copies = dictionary.witnesses.hidden[-1]
        subnetworks = []
        readout_weights = np.zeros((active.size, copies, outputs))
        for k, atom in enumerate(active):
            subnetwork, neuron = (int(index) for index in dictionary.origin[atom])
            *below, final = dictionary.witnesses.layers(subnetwork)
            if hears_others(final):
                subnetworks.append([*below, final])
                readout_weights[k, neuron] = weights[atom]
            else:
                subnetworks.append([*below, _copied(final, neuron, copies)])
                readout_weights[k] = weights[atom] / copies
        return cls(
            subnetworks=subnetworks,
            inputs=dictionary.witnesses.inputs,
            hidden=tuple(dictionary.witnesses.hidden),
            readout_weights=readout_weights,
            intercept=np.array(intercept),
            readout=dictionary.readout,
            classes=classes,
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a network that :meth:`save` wrote, all its checksums verified: the same bits.

        ``Network.load`` reads a network of any class; a subclass reads its own.

        Raises
        ------
        ValueError
            If the file is truncated or altered, of a newer version, or holds
            something else, a network of another class among it.
        OSError
            If it can't be read.
        """
        name, fields = read_network(path)
        known: dict[str, type[Self]] = {}
        waiting = [cls]
        while waiting:
            kind = waiting.pop()
            known[kind.__name__] = kind
            waiting += kind.__subclasses__()
        if name not in known or known[name] is Network:
            expected = " or ".join(sorted(set(known) - {"Network"}))
            raise ValueError(f"{os.fspath(path)}: expected a {expected}, got a {name:.200}")
        try:
            return known[name](**fields)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"{os.fspath(path)}: expected a {name:.200}: {error}") from error

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({len(self.subnetworks)} subnetworks {self.hidden}, "
            f"{self.intercept.size} outputs, read at the {self.readout} step"
            f"{f', leaking {self.readout_leak:g}' if self.readout_leak else ''})"
        )

    def simulate(self, X: ArrayLike) -> Iterator[list[NDArray[np.uint8]]]:
        """Spikes of every subnetwork in turn: for each layer an (n, T, width) array of 0 and 1.

        An iterator: memory is that of one subnetwork, a byte a spike. Where n is
        large, hand X in by slices; samples are independent.

        Raises
        ------
        ValueError
            If X is not finite, of the network's shape and number of inputs.
        """
        sequences = self._sequences(X)
        return (
            [self._shown(spikes) for spikes in roll(sequences, layers)]
            for layers in self.subnetworks
        )

    def membranes(self, X: ArrayLike) -> Iterator[list[NDArray[np.float64]]]:
        """Membranes of every subnetwork in turn: for each layer an (n, T, width) array of float64.

        Entry (i, t, j) is u of neuron j at step t before any reset of that step,
        the very number that is compared with its threshold:

            u[t] = leak * v[t-1] + current[t] - reset * s[t-1],

        where v is u, or 0 after a spike of a hard reset. So
        ``membranes >= threshold`` (>, of strict layers) is :meth:`simulate`.
        An iterator: memory is that of one subnetwork, 9 bytes a neuron, sample and
        step, and work arrays of 256 samples.

        Raises
        ------
        ValueError
            As :meth:`simulate`.
        """
        sequences = self._sequences(X)
        return (
            [self._shown(u) for u in roll_membranes(sequences, layers, roll(sequences, layers))]
            for layers in self.subnetworks
        )

    def rates(self, X: ArrayLike) -> list[NDArray[np.float64]]:
        """Firing rates: for each layer a (K, width) array, spikes per sample and step.

        Memory is that of 256 samples of one subnetwork, a bit a spike.

        Raises
        ------
        ValueError
            As :meth:`simulate`.
        """
        sequences = self._sequences(X)
        rates = [np.empty((len(self.subnetworks), width)) for width in self.hidden]
        for k, layers in enumerate(self.subnetworks):
            for rate, count in zip(rates, spike_counts(sequences, layers), strict=True):
                rate[k] = count / (sequences.shape[0] * sequences.shape[1])
        return rates

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Outputs for sequences X (n, T, d): (n, C), or (n, T, C) when read at every step.

        Raises
        ------
        ValueError
            As :meth:`simulate`.
        """
        sequences = self._sequences(X)
        outputs = np.concatenate([self._outputs(block) for block in _blocks(sequences)])
        return outputs[:, -1] if self.readout == "last" else outputs

    def traces(self, X: ArrayLike) -> NDArray[np.float64]:
        """What the readout weighs: (n, K m), or (n, T, K m) when it is read at every step.

        The final spikes of all subnetworks side by side, 0 and 1; where the readout leaks,
        their leaking sums. Outputs are its product with the readout weights, plus the intercept.

        Raises
        ------
        ValueError
            As :meth:`simulate`.
        """
        sequences = self._sequences(X)
        n, steps, _ = sequences.shape
        read = steps if self.readout == "every" else 1
        traces = np.empty((n, read, len(self.subnetworks), self.hidden[-1]))
        for first in range(0, n, _SAMPLES_PER_BLOCK):
            part = slice(first, first + _SAMPLES_PER_BLOCK)
            for k, layers in enumerate(self.subnetworks):
                traces[part, :, k] = self._traced(sequences[part], layers)
        side_by_side = traces.reshape(n, read, -1)
        return side_by_side[:, -1] if self.readout == "last" else side_by_side

    def predict(self, X: ArrayLike) -> NDArray[np.generic]:
        """Labels of sequences X, one each, or one a step.

        In regression the outputs themselves, without the last axis where there is one.

        Raises
        ------
        ValueError
            As :meth:`simulate`.
        """
        outputs = self.decision_function(X)
        if self.classes is None:
            return outputs[..., 0] if self.intercept.size == 1 else outputs
        if outputs.shape[-1] == 1:
            chosen = (outputs[..., 0] >= 0).astype(np.intp)
        else:
            chosen = outputs.argmax(axis=-1)
        labels: NDArray[np.generic] = self.classes[chosen]
        return labels

    def synaptic_operations(self, X: ArrayLike) -> SynapticOperations:
        """Count the synaptic operations of running the network on all of X, as it is read out.

        Memory is that of 4,096 samples of one subnetwork, a byte a spike.

        Raises
        ------
        ValueError
            As :meth:`simulate`.
        """
        every_step = self.readout == "every" or self.readout_leak > 0
        return count_operations(
            _blocks(self._sequences(X)),
            self.subnetworks,
            self.hidden,
            self.readout_weights,
            every_step,
        )

    def merge(self, *others: Self) -> Self:
        """Return the network of all subnetworks of this one and the others: the sum of them.

        Decision functions and intercepts add up.

        Raises
        ------
        ValueError
            Unless all are of the same class of network, inputs, hidden widths,
            readout, number of outputs and classes.
        """
        networks = (self, *others)
        for other in others:
            self._refuse_to_merge(other)
        return replace(
            self,
            subnetworks=[layers for network in networks for layers in network.subnetworks],
            readout_weights=np.concatenate([network.readout_weights for network in networks]),
            intercept=np.sum([network.intercept for network in networks], axis=0),
        )

    def with_readout(
        self,
        weights: NDArray[np.float64],
        intercept: NDArray[np.float64],
        classes: NDArray[np.generic] | None = None,
    ) -> Self:
        """Return the network with another readout of the same :meth:`traces`.

        Parameters
        ----------
        weights : (K m, C) array
        intercept : (C,) array
        classes : array, optional

        Raises
        ------
        ValueError
            If a part has another shape.
        """
        traced = len(self.subnetworks) * self.hidden[-1]
        if np.ndim(weights) != 2 or len(weights) != traced:
            raise ValueError(f"weights: expected shape ({traced}, C), got {np.shape(weights)}")
        shape = (len(self.subnetworks), self.hidden[-1], np.shape(weights)[1])
        return replace(
            self,
            readout_weights=np.array(weights).reshape(shape),
            intercept=np.array(intercept),
            classes=classes,
        )

    def save(self, path: Path) -> None:
        """Write the network to one file, whole or not at all, in place of what is there.

        Raises
        ------
        ValueError
            If a layer is recurrent in some subnetworks alone.
        TypeError
            If a label is not a string, whole number, finite float or bool, or their dtype is
            NumPy's StringDType.
        OSError
            If the file can't be written; what was there stays.
        """
        fields = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        write_network(path, type(self).__name__, fields)

    def raster(self, x: ArrayLike, figure: Any = None) -> Any:
        """Draw the spikes of all neurons on one sequence (T, d), and return the figure.

        Axes for each layer: step across; neuron j of subnetwork k in row k * width + j.

        Parameters
        ----------
        x : (T, d) array
        figure : matplotlib figure, optional
            Drawn on, instead of on a new one.

        Raises
        ------
        ValueError
            If x is not finite, of that shape and the network's number of inputs.
        ModuleNotFoundError
            If matplotlib (the extra ``report``) is not installed.
        """
        sequences = self._drawn(x)
        points = sequences.shape[0] * sequences.shape[1]
        simulated = [roll(sequences, layers) for layers in self.subnetworks]
        spikes = [
            np.array([layers[depth] for layers in simulated], dtype=np.uint8).reshape(
                len(simulated), points, width
            )
            for depth, width in enumerate(self.hidden)
        ]
        return draw_raster(spikes, self._across, figure)

    def membrane_plot(self, x: ArrayLike, subnetwork: int = 0, figure: Any = None) -> Any:
        """Draw the membranes of one subnetwork on one sequence (T, d), and return the figure.

        Axes for each layer: u of each neuron as :meth:`membranes` gives it, a dot
        where it fires, and the thresholds.

        Parameters
        ----------
        x : (T, d) array
        subnetwork : int
            Which one, from 0.
        figure : matplotlib figure, optional
            Drawn on, instead of on a new one.

        Raises
        ------
        ValueError
            If x is as :meth:`raster` refuses it, or there is no such subnetwork.
        ModuleNotFoundError
            If matplotlib (the extra ``report``) is not installed.
        """
        count = len(self.subnetworks)
        if count == 0:
            raise ValueError("subnetwork: the network has none, so it has no membranes to draw")
        check_whole("subnetwork", subnetwork, 0, count - 1)
        sequences = self._drawn(x)
        layers = self.subnetworks[subnetwork]
        spikes = roll(sequences, layers)
        membranes = roll_membranes(sequences, layers, spikes)
        return draw_membranes(
            [layer.threshold for layer in layers],
            [u.reshape(-1, u.shape[2]) for u in membranes],
            [fired.reshape(-1, fired.shape[2]) for fired in spikes],
            self._across,
            figure,
        )

    @staticmethod
    def refuses(layer: Layer) -> str:
        """Tell what this kind of network expects of a layer, where it is not that; else nothing."""
        return ""

    def _sequences(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return X as sequences (n, T, d); ValueError unless it is what the network takes."""
        return check_sequences(X, self.inputs)

    def _shown(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an (n, T, width) array as the network shows it."""
        return array

    def _drawn(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return what plots draw as sequences: one of T steps, or n of one."""
        if np.ndim(x) != 2:
            raise ValueError(f"x: expected one sequence of shape (T, d), got {np.shape(x)}")
        return self._sequences(np.expand_dims(x, 0))

    def _traced(
        self, sequences: NDArray[np.float64], layers: Sequence[Layer]
    ) -> NDArray[np.float64]:
        """Return traces of a subnetwork at the steps that are read, (n, steps, m)."""
        first = -1 if self.readout == "last" else 0
        spikes = roll(sequences, layers)[-1]
        if self.readout_leak == 0:
            return spikes[:, first:].astype(np.float64)
        traces = spikes.astype(np.float64)
        for t in range(1, traces.shape[1]):
            traces[:, t] += self.readout_leak * traces[:, t - 1]
        return traces[:, first:]

    def _outputs(self, sequences: NDArray[np.float64]) -> NDArray[np.float64]:
        steps = sequences.shape[1] if self.readout == "every" else 1
        total = np.zeros((sequences.shape[0], steps, self.intercept.size))
        for layers, weights in zip(self.subnetworks, self.readout_weights, strict=True):
            total += self._traced(sequences, layers) @ weights
        return total + self.intercept

    def _refuse_to_merge(self, other: Any) -> None:
        """Raise ValueError, with the reason, unless the sum of both is a network of this class."""
        mine, others = type(self).__name__, type(other).__name__
        if type(other) is not type(self):
            raise ValueError(f"others: expected a {mine}, got a {others}")
        for name in ("inputs", "hidden", "readout", "readout_leak"):
            expected, found = getattr(self, name), getattr(other, name)
            if expected != found:
                raise ValueError(f"others: expected {name} {expected!r}, got {found!r}")
        if self.intercept.size != other.intercept.size:
            raise ValueError(
                f"others: expected {self.intercept.size} outputs, got {other.intercept.size}"
            )
        labels = [None if n.classes is None else n.classes.tolist() for n in (self, other)]
        if labels[0] != labels[1]:
            raise ValueError(f"others: expected classes {labels[0]}, got {labels[1]}")


def hears_others(layer: Layer) -> bool:
    """Whether the spikes of some neuron feed back into another, so that no copies are a layer."""
    if layer.recurrent is None:
        return False
    return bool((layer.recurrent != np.diag(layer.recurrent.diagonal())).any())


def _copied(layer: Layer, neuron: int, copies: int) -> Layer:
    """Return the layer of copies of a neuron that hears no other."""
    layer_of_copies = replace(layer, recurrent=None).take(np.full(copies, neuron))
    if layer.recurrent is None:
        return layer_of_copies
    on_itself = np.diag(np.full(copies, layer.recurrent[neuron, neuron]))
    return replace(layer_of_copies, recurrent=on_itself)


def _blocks(sequences: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    for start in range(0, sequences.shape[0], _SAMPLES_PER_BLOCK):
        yield sequences[start : start + _SAMPLES_PER_BLOCK]
