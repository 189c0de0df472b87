"""Network: K parallel subnetworks of spiking layers with a linear readout; all kinds share it."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..dictionaries import InputGrid, Layer, Readout, SpikeDictionary, as_sequences, roll
from ..dictionaries.files.packed_head import Path
from ..dictionaries.rollout import spike_counts
from ..dictionaries.rounding import spikes_within_rounding
from ..dictionaries.validation import check_whole, file_path, is_number, real_array, shown
from ..dictionaries.witnesses.sampled import check_widths
from ..kernels.text import printable
from .copies import subnetworks_of_atoms
from .files import read_network, write_network
from .labels import checked_labels, chosen_labels
from .membranes import roll_membranes
from .operations import SynapticOperations, count_operations
from .parts import check_subnetworks
from .plots import draw_membranes, draw_raster
from .summands import check_summand, finest_grid

_SAMPLES_PER_BLOCK = 4096  # bounds the spikes of a simulation


@dataclass(frozen=True, eq=False)
class Network:
    """f(X) = sum_k s_k(X) R_k + b, with s_k the final spikes of subnetwork k.

    If the readout leaks, s_k is the leaking sum of the spikes of all steps so far.

    Attributes
    ----------
    subnetworks : sequence of K sequences of Layer
        Hidden layers of each subnetwork; the last has width m.
    inputs : int
        Number d of inputs per step.
    hidden : tuple of int
        Width of each hidden layer of a subnetwork.
    readout_weights : (K, m, C) array
        R_k for each subnetwork.
    intercept : (C,) array
    readout : {"last", "every"}
        Whether the outputs are those of the last step or of every step.
    classes : array or None
        Labels: two for one output, else one per output; None for regression.
    readout_leak : float
        Share of the outputs, without the intercept, that the readout keeps from step to step,
        in [0, 1]. Above 0 the readout integrates the spikes of all steps.
    grid : InputGrid, optional
        Grid of the inputs: that of the dictionary, in rebuilt networks; None rounds nothing. The
        first layer takes X - ``grid.offsets``: 0 but for threshold units fitted far from 0.

    Raises
    ------
    ValueError
        If a part does not fit the others, or a layer is not of the network's kind.
    """

    subnetworks: Sequence[Sequence[Layer]]
    inputs: int
    hidden: tuple[int, ...]
    readout_weights: NDArray[np.float64]
    intercept: NDArray[np.float64]
    readout: Readout
    classes: NDArray[np.generic] | None
    readout_leak: float = 0.0
    grid: InputGrid | None = None

    _across = "step"  # label of the horizontal axis of plots

    def __post_init__(self) -> None:
        check_whole("inputs", self.inputs, 1)
        object.__setattr__(self, "hidden", check_widths(self.hidden))
        if self.readout not in get_args(Readout):
            raise ValueError(f"readout: expected 'last' or 'every', got {self.readout!r}")
        if not (is_number(self.readout_leak) and 0 <= self.readout_leak <= 1):
            raise ValueError(
                f"readout_leak: expected a number in [0, 1], got {shown(self.readout_leak)}"
            )
        check_subnetworks(self)
        outputs = real_array("intercept", self.intercept).size
        for name, shape in (
            ("readout_weights", (len(self.subnetworks), self.hidden[-1], outputs)),
            ("intercept", (outputs,)),
        ):
            array = real_array(name, getattr(self, name))
            if array.shape != shape or not np.isfinite(array).all():
                what = "NaN or infinity" if array.shape == shape else f"shape {array.shape}"
                raise ValueError(f"{name}: expected finite numbers of shape {shape}, got {what}")
            object.__setattr__(self, name, array)
        if self.classes is not None:
            object.__setattr__(self, "classes", checked_labels(self.classes, outputs))

    @classmethod
    def rebuild(
        cls,
        dictionary: SpikeDictionary,
        weights: NDArray[np.float64],
        intercept: NDArray[np.float64],
        classes: NDArray[np.generic] | None = None,
    ) -> Self:
        """Build the network that computes D W + b.

        Each active atom becomes one subnetwork: its witness, whose final layer becomes m copies
        of the neuron that fires the atom, with c / m on each copy. The readout then has the norm
        |c| / m**(1/q) that the program charges (Udupi, Yang and Zhai 2026, section 3.4). A final
        layer of neurons with recurrent input from others stays whole, with c on one neuron.

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
            If ``weights`` does not have one row per atom, if intercept or classes do not fit
            its outputs, or if the dictionary belongs to another kind of network.
        """
        atoms, weights = dictionary.atoms.shape[1], real_array("weights", weights)
        if weights.ndim != 2 or weights.shape[0] != atoms:
            raise ValueError(f"weights: expected shape ({atoms}, C), got {weights.shape}")
        outputs = weights.shape[1]
        constants = real_array("intercept", intercept)
        if constants.shape != (outputs,):
            raise ValueError(f"intercept: expected shape ({outputs},), got {constants.shape}")
        subnetworks, readout_weights = subnetworks_of_atoms(dictionary, weights)
        return cls(
            subnetworks=subnetworks,
            inputs=dictionary.witnesses.inputs,
            hidden=tuple(dictionary.witnesses.hidden),
            readout_weights=readout_weights,
            intercept=constants.copy(),
            readout=dictionary.readout,
            classes=classes,
            grid=dictionary.grid,
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a network that :meth:`save` wrote, with the same bits; verify all checksums.

        ``Network.load`` reads a network of any class; a subclass reads its own.

        Raises
        ------
        ValueError
            If the file is truncated, altered or of a newer version, or if it holds no network
            of this class.
        OSError
            If the file cannot be read.
        """
        name, fields = read_network(path)
        file, kind_told = printable(file_path(path)), printable(name)
        known: dict[str, type[Self]] = {}
        waiting = [cls]
        while waiting:
            kind = waiting.pop()
            known[kind.__name__] = kind
            waiting += kind.__subclasses__()
        if name not in known:
            expected = " or ".join(sorted(set(known) - {"Network"}))
            raise ValueError(f"{file}: expected a {expected}, got a {kind_told:.200}")
        try:
            return known[name](**fields)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"{file}: expected a {name}: {printable(error):.1000}") from error

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({len(self.subnetworks)} subnetworks {self.hidden}, "
            f"{self.intercept.size} outputs, read at the {self.readout} step"
            f"{f', leaking {self.readout_leak:g}' if self.readout_leak else ''})"
        )

    def simulate(self, X: ArrayLike) -> Iterator[list[NDArray[np.uint8]]]:
        """Iterate over the subnetworks' spikes: per layer an (n, T, width) array of 0 and 1.

        The iterator holds one subnetwork at a time, with one byte per spike. Samples are
        independent: if n is large, pass slices of X.

        Raises
        ------
        ValueError
            If X is not finite, or has another shape or number of inputs than the network takes.
        """
        sequences = self._sequences(X)
        return (
            [self._shown(spikes) for spikes in roll(sequences, layers)]
            for layers in self.subnetworks
        )

    def membranes(self, X: ArrayLike) -> Iterator[list[NDArray[np.float64]]]:
        """Iterate over the subnetworks' membranes: per layer an (n, T, width) float64 array.

        Entry (i, t, j) is u of neuron j at step t, which the neuron compares with its threshold
        before it resets:

            u[t] = leak * v[t-1] + current[t] - reset * s[t-1],

        where v is u, or 0 after a spike with a hard reset. So ``membranes >= threshold`` (> for
        strict layers) equals :meth:`simulate`. The iterator holds one subnetwork at a time, with
        9 bytes per neuron, sample and step, and work arrays for 256 samples.

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
        """Return the firing rates, spikes per sample and step: per layer a (K, width) array.

        The method holds 256 samples of one subnetwork at a time, with one bit per spike.

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

    def spikes_within_rounding(self, X: ArrayLike) -> NDArray[np.int64]:
        """Count the spikes that exact arithmetic might decide otherwise, (K, L) per layer.

        If they are 0, a subnetwork's spikes are those of rational arithmetic. The bound on
        rounding is stated in ``dictionaries/rounding.py``.

        Raises
        ------
        ValueError
            As :meth:`simulate`.
        """
        sequences = self._sequences(X)
        counts = [spikes_within_rounding(sequences, layers) for layers in self.subnetworks]
        return np.array(counts, dtype=np.int64).reshape(-1, len(self.hidden))

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the outputs for X (n, T, d): (n, C), or (n, T, C) with readout "every".

        Raises
        ------
        ValueError
            As :meth:`simulate`.
        """
        sequences = self._sequences(X)
        outputs = np.concatenate([self._outputs(block) for block in _blocks(sequences)])
        return outputs[:, -1] if self.readout == "last" else outputs

    def traces(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the readout's inputs: (n, K m), or (n, T, K m) with readout "every".

        They are the final spikes of all subnetworks side by side, or their leaking sums if the
        readout leaks. Times the readout weights, plus the intercept, they give the outputs.

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
        """Return the label of each sequence of X, or of each step with readout "every".

        In regression return the outputs, without the last axis if C = 1.

        Raises
        ------
        ValueError
            As :meth:`simulate`.
        """
        outputs = self.decision_function(X)
        if self.classes is None:
            return outputs[..., 0] if self.intercept.size == 1 else outputs
        return chosen_labels(outputs, self.classes)

    def synaptic_operations(self, X: ArrayLike) -> SynapticOperations:
        """Count the synaptic operations of running the network on all of X with its readout.

        The method holds 4,096 samples of one subnetwork at a time, with one byte per spike.

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
        """Return the sum of this network and others: the network of all their subnetworks.

        Decision functions and intercepts add up. The sum rounds inputs to the finest of the grids.

        Raises
        ------
        ValueError
            If two of them differ in kind, inputs, hidden widths, readout, outputs, classes or
            offsets of the inputs.
        """
        networks = (self, *others)
        for other in others:
            check_summand(self, other)
        return replace(
            self,
            subnetworks=[layers for network in networks for layers in network.subnetworks],
            readout_weights=np.concatenate([network.readout_weights for network in networks]),
            intercept=np.sum([network.intercept for network in networks], axis=0),
            grid=finest_grid([network.grid for network in networks]),
        )

    def with_readout(
        self,
        weights: NDArray[np.float64],
        intercept: NDArray[np.float64],
        classes: NDArray[np.generic] | None = None,
    ) -> Self:
        """Return this network with another readout of the same :meth:`traces`.

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
        traced, weights = len(self.subnetworks) * self.hidden[-1], real_array("weights", weights)
        if weights.ndim != 2 or len(weights) != traced:
            raise ValueError(f"weights: expected shape ({traced}, C), got {weights.shape}")
        shape = (len(self.subnetworks), self.hidden[-1], weights.shape[1])
        return replace(
            self,
            readout_weights=weights.reshape(shape).copy(),
            intercept=real_array("intercept", intercept).copy(),
            classes=classes,
        )

    def save(self, path: Path) -> None:
        """Write the network to one file, whole or not at all; replace a file of that name.

        Raises
        ------
        OSError
            If the file cannot be written; the earlier file then stays.
        """
        fields = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        write_network(path, type(self).__name__, fields)

    def raster(self, x: ArrayLike, figure: Any = None) -> Any:
        """Draw the spikes of all neurons on one sequence (T, d), and return the figure.

        Each layer has its axes. Row k * width + j shows neuron j of subnetwork k over the steps.

        Parameters
        ----------
        x : (T, d) array
        figure : matplotlib figure, optional
            The figure to draw on, by default a new one.

        Raises
        ------
        ValueError
            If x is not finite, or has another shape or number of inputs.
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

        Each layer has its axes. They show the thresholds, u of each neuron as :meth:`membranes`
        returns it, and a dot for each spike.

        Parameters
        ----------
        x : (T, d) array
        subnetwork : int
            Index of the subnetwork, from 0.
        figure : matplotlib figure, optional
            The figure to draw on, by default a new one.

        Raises
        ------
        ValueError
            As :meth:`raster`, or if the network lacks this subnetwork.
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
        """Describe the layers of this kind of network if ``layer`` is another; else return ""."""
        return ""

    def _sequences(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return X as sequences (n, T, d); raise ValueError if the network cannot take it."""
        sequences = as_sequences(X, self.inputs)
        return sequences if self.grid is None else self.grid.take(sequences)

    def _shown(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an (n, T, width) array in the shape that the network returns."""
        return array

    def _drawn(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return the sequences that plots draw: one sequence of T steps, or n of one step."""
        sequence = real_array("x", x)
        if sequence.ndim != 2:
            raise ValueError(f"x: expected one sequence of shape (T, d), got {sequence.shape}")
        return self._sequences(sequence[None])

    def _traced(
        self, sequences: NDArray[np.float64], layers: Sequence[Layer]
    ) -> NDArray[np.float64]:
        """Return the traces (n, steps, m) of a subnetwork at the steps of the readout."""
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


def _blocks(sequences: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    for start in range(0, sequences.shape[0], _SAMPLES_PER_BLOCK):
        yield sequences[start : start + _SAMPLES_PER_BLOCK]
