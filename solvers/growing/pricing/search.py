"""SearchPricing: pricing by search for any class of networks; it proves no bound.

The search prices random subnetworks of the class. Then it improves the best of them and the
active ones by random changes of their weights. Last it follows surrogate gradients (the derivative
of a spike is replaced by that of an arctangent; Fang et al. 2021) and keeps the network of the
largest price by its *hard* spikes. Weights stay on the grid, and ``rollout.py`` computes the atoms.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....dictionaries.neuron import Layer
from ....dictionaries.spike_dictionary import Readout
from ....dictionaries.threads.threads import split
from ....dictionaries.validation import Array
from ....dictionaries.witnesses.sampled import WEIGHT_GRID, Witnesses, normal_weights
from ....kernels import growing as kernels
from ...clock import now
from .oracle import Grounds, Priced, Question, Witness, new_atoms

_LANES = 64
_WORK = 2e9  # limit of weights times samples times steps that one call simulates
_FEWEST, _MOST = 64, 4_000  # limits on the networks per call
_CLIMBERS = 50  # networks to improve, half of them random, half active
_PROPOSALS, _CHANGES = 6, 12  # proposals per network and round, and rounds
_SHRINK = 0.75  # factor of the size of changes per round
_GRADIENTS, _RATE = 25, 0.08  # steps of Adam, and their length in units of the weights' scale
_WIDTH = 0.45  # half the width of a spike's surrogate derivative, in units of the membrane
_LARGEST = 64.0  # largest weight; with larger ones currents would not be exact
_STREAM = 2**64 - 1  # random stream of the seed that no witness bank uses


@dataclass(frozen=True, eq=False)
class _Networks:
    """K networks of one shape: weights (K, Q), and leak, threshold and reset (K, M, 3)."""

    weights: Array
    constants: Array

    def take(self, chosen: Any) -> "_Networks":
        return _Networks(self.weights[chosen], self.constants[chosen])


class SearchPricing:
    """Search for atoms with large prices, in the class of a witness bank.

    Parameters
    ----------
    sequences : (n, T, d) array
        As :func:`check_sequences` returns them.
    bank : Witnesses
        New subnetworks have the bank's shape, its constants and the scale of its weights.
    readout : {"last", "every"}
    seed : int
        Seed of the search, 0 to 2**64 - 1.
    """

    grounds: Grounds | None = None

    def __init__(self, sequences: Array, bank: Witnesses, readout: Readout, seed: int) -> None:
        subnetworks = [bank.layers(k) for k in range(min(bank.subnetworks, 1000))]
        first = subnetworks[0]
        self._sequences = sequences
        self._readout: Readout = readout
        self._form = _form(first)
        self._widths = np.array([layer.width for layer in first], dtype=np.int64)
        self._recurrent = np.array([layer.recurrent is not None for layer in first])
        self._hard = np.array([layer.hard for layer in first])
        self._strict = [layer.strict for layer in first]
        self._biased = any(layer.bias.any() for layers in subnetworks for layer in layers)
        self._templates = self._packed([(layers, 0) for layers in subnetworks])
        self._scales = self._scale(self._templates.weights)
        self._stream = np.random.Philox(key=np.array([_STREAM, seed], dtype=np.uint64))

    def price(self, question: Question) -> Priced:
        """Search; see :class:`Pricing`."""
        found = _Found(self, question)
        blocks, steps = found.values.shape[:2]
        affordable = int(_WORK / (self._scales.size * blocks * _LANES * steps))
        evaluations = min(max(affordable, _FEWEST), _MOST)
        batch = self._drawn(max(evaluations // 3, 1))
        climbers = min(max(evaluations * 2 // (3 * _PROPOSALS * _CHANGES), 2), _CLIMBERS)
        sizes = found.best(batch)
        found.keep(batch, sizes > question.bar)
        if found.late:
            return found.priced()
        best = np.argsort(-sizes, kind="stable")[: climbers - climbers // 2]
        starts = batch.take(best)
        active = [each for each in question.active if _form(each[0]) == self._form]
        if active:
            picked = self._integers(climbers // 2, len(active))
            used = self._packed([active[k] for k in picked])
            starts = _Networks(
                np.concatenate([starts.weights, used.weights]),
                np.concatenate([starts.constants, used.constants]),
            )
        climbed = self._climb(found, starts)
        self._ascend(found, climbed)
        return found.priced()

    def _climb(self, found: "_Found", starts: _Networks) -> _Networks:
        """Try random changes of decreasing size and keep those that raise the price."""
        here, sizes = starts, found.best(starts)
        count, parameters = here.weights.shape
        for change in range(_CHANGES):
            if found.late:
                break
            shape = (count * _PROPOSALS, parameters)
            step = _SHRINK**change * self._scales * self._normals(shape)
            # half of the proposals change one entry in two, the others about 1.5 entries
            shares = np.where(np.arange(shape[0]) % 2, 0.5, 1.5 / parameters)
            step[self._uniforms(shape) >= shares[:, None]] = 0.0
            tried = here.take(np.repeat(np.arange(count), _PROPOSALS))
            tried = replace(tried, weights=_on_grid(tried.weights + step))
            their = found.best(tried).reshape(count, _PROPOSALS)
            winner = their.argmax(axis=1)
            better = their[np.arange(count), winner] > sizes
            chosen = winner + np.arange(count) * _PROPOSALS
            weights = np.where(better[:, None], tried.weights[chosen], here.weights)
            here = replace(here, weights=weights)
            sizes = np.where(better, their[np.arange(count), winner], sizes)
        found.keep(here, sizes > found.question.bar)
        return here

    def _ascend(self, found: "_Found", starts: _Networks) -> None:
        """Run Adam on surrogate gradients from each network, at its best neuron and output."""
        neurons, directions = found.largest_prices(starts)
        weights = starts.weights.copy()
        first, second = np.zeros_like(weights), np.zeros_like(weights)
        best, largest_price = starts.weights.copy(), np.zeros(len(weights))
        for step in range(1, _GRADIENTS + 1):
            if found.late:
                break
            there = replace(starts, weights=_on_grid(weights))
            prices, gradients = found.ascent(there, neurons, directions)
            better = prices > largest_price
            best[better], largest_price[better] = there.weights[better], prices[better]
            first += 0.1 * (gradients - first)
            second += 0.001 * (gradients**2 - second)
            mean, square = first / (1.0 - 0.9**step), second / (1.0 - 0.999**step)
            length = np.sqrt(square)
            weights += _RATE * self._scales * mean / np.where(length > 0.0, length, 1.0)
        found.keep(replace(starts, weights=best), largest_price > found.question.bar)

    def _drawn(self, count: int) -> _Networks:
        weights = _on_grid(self._normals((count, self._scales.size)) * self._scales)
        constants = self._templates.constants
        return _Networks(weights, constants[self._integers(count, len(constants))])

    def _normals(self, shape: tuple[int, int]) -> Array:
        return normal_weights(self._stream.random_raw(shape[0] * shape[1])).reshape(shape)

    def _uniforms(self, shape: tuple[int, int]) -> Array:
        words = self._stream.random_raw(shape[0] * shape[1]).reshape(shape)
        uniforms: Array = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return uniforms

    def _integers(self, count: int, below: int) -> NDArray[np.int64]:
        words = self._stream.random_raw(count) >> np.uint64(1)
        return words.astype(np.int64) % below

    def _parts(self, layer: Layer) -> list[Array]:
        """Return the trainable arrays of a layer, in the order of the kernels."""
        parts = [layer.weights]
        parts += [] if layer.recurrent is None else [layer.recurrent]
        return [*parts, layer.bias] if self._biased else parts

    def _packed(self, witnesses: list[Witness]) -> _Networks:
        weights = [
            np.concatenate([part.ravel() for layer in layers for part in self._parts(layer)])
            for layers, _ in witnesses
        ]
        constants = [
            np.concatenate([np.stack([a.leak, a.threshold, a.reset], axis=1) for a in layers])
            for layers, _ in witnesses
        ]
        return _Networks(np.array(weights), np.array(constants))

    def _layers(self, weights: Array, constants: Array) -> list[Layer]:
        """Build the layers of a network."""
        layers, q, first = [], 0, 0
        fan_in = self._sequences.shape[2]
        for k, width in enumerate(self._widths.tolist()):
            shapes: list[tuple[int, ...]] = [(fan_in, width)]
            shapes += [(width, width)] if self._recurrent[k] else []
            shapes += [(width,)] if self._biased else []
            parts = []
            for shape in shapes:
                size = int(np.prod(shape))
                parts.append(weights[q : q + size].reshape(shape).copy())
                q += size
            leak, threshold, reset = constants[first : first + width].T.copy()
            layers.append(
                Layer(
                    weights=parts[0],
                    leak=leak,
                    threshold=threshold,
                    reset=reset,
                    bias=parts[-1] if self._biased else np.zeros(width),
                    recurrent=parts[1] if self._recurrent[k] else None,
                    hard=bool(self._hard[k]),
                    strict=self._strict[k],
                )
            )
            first += width
            fan_in = width
        return layers

    def _scale(self, weights: Array) -> Array:
        """Return the root mean square (Q,) of each layer's weights, recurrent weights and biases.

        A parameter that is 0 in every network is not part of the class and gets 0.
        """
        there = (weights != 0).max(axis=0)
        scales = np.zeros(weights.shape[1])
        q, fan_in = 0, self._sequences.shape[2]
        for k, width in enumerate(self._widths.tolist()):
            sizes = [fan_in * width]
            sizes += [width * width] if self._recurrent[k] else []
            sizes += [width] if self._biased else []
            for size in sizes:
                own = slice(q, q + size)
                used = np.flatnonzero(there[own]) + q
                if used.size:
                    scales[used] = np.sqrt(np.mean(weights[:, used] ** 2))
                q += size
            fan_in = width
        return scales


class _Found:
    """Networks found for a question, and the arrays that price more."""

    def __init__(self, search: SearchPricing, question: Question) -> None:
        self.search, self.question = search, question
        self._deadline = now() + question.seconds
        n, _, inputs = search._sequences.shape
        V = question.V.reshape(-1, n, question.V.shape[1])  # steps read, samples, outputs
        told = np.flatnonzero(V.any(axis=(0, 2)))  # other samples have no price
        blocks = max(1, -(-told.size // _LANES))

        def in_lanes(array: Array) -> Array:
            """Rearrange (samples, ...) to (blocks, ..., lanes)."""
            out = np.zeros((blocks * _LANES, *array.shape[1:]))
            out[: told.size] = array[told]
            split_up = out.reshape(blocks, _LANES, *array.shape[1:])
            return np.ascontiguousarray(np.moveaxis(split_up, 1, -1))

        self.values = in_lanes(search._sequences)
        self._rows = in_lanes(V.transpose(1, 0, 2))
        self._kept: list[tuple[Array, Array, Array]] = []
        self._work = self.values.size // inputs // 8 * 2

    @property
    def late(self) -> bool:
        """Whether the time limit has passed."""
        return now() > self._deadline

    def _run(self, kernel: Any, networks: _Networks, *arrays: Any, out: tuple[Array, ...]) -> None:
        search = self.search
        constants = networks.constants.copy()
        first = 0
        for strict, width in zip(search._strict, search._widths.tolist(), strict=True):
            if strict:  # u > threshold is u >= the next number up
                levels = constants[:, first : first + width, 1]
                levels[:] = np.nextafter(levels, np.inf)
            first += width
        weights = np.ascontiguousarray(networks.weights)

        def part(a: int, b: int) -> None:
            here = [array[a:b] if isinstance(array, np.ndarray) else array for array in arrays]
            kernel(
                self.values, self._rows, search._widths, search._recurrent, search._biased,
                search._hard, weights[a:b], constants[a:b], *here, *(o[a:b] for o in out),
            )  # fmt: skip

        split(part, len(weights), len(weights) * weights.shape[1] * self._work)

    def _prices(self, networks: _Networks) -> Array:
        out = np.empty((len(networks.weights), self.search._widths[-1], self.question.V.shape[1]))
        self._run(kernels.score, networks, out=(out,))
        return out

    def best(self, networks: _Networks) -> Array:
        """Return the largest price of each network, (K,)."""
        sizes: Array = self.question.sizes(self._prices(networks)).max(axis=(1, 2))
        return sizes

    def largest_prices(self, networks: _Networks) -> tuple[NDArray[np.int64], Array]:
        """Return each network's neuron of largest price (K,) and its direction (K, C)."""
        prices = self._prices(networks)
        sizes = self.question.sizes(prices)
        neurons = sizes.max(axis=2).argmax(axis=1).astype(np.int64)
        each = np.arange(len(neurons))
        own = prices[each, neurons]
        if self.question.width > 1:
            length = np.linalg.norm(own, axis=1, keepdims=True)
            return neurons, own / np.where(length > 0.0, length, 1.0)
        directions = np.zeros_like(own)
        output = np.abs(own).argmax(axis=1)
        directions[each, output] = np.where(own[each, output] >= 0.0, 1.0, -1.0)
        return neurons, directions

    def ascent(
        self, networks: _Networks, neurons: NDArray[np.int64], directions: Array
    ) -> tuple[Array, Array]:
        """Return the neurons' prices (K,) in the directions, and surrogate gradients (K, Q)."""
        prices, gradients = np.empty(len(neurons)), np.empty_like(networks.weights)
        self._run(kernels.ascent, networks, neurons, directions, _WIDTH, out=(prices, gradients))
        return prices, gradients

    def keep(self, networks: _Networks, chosen: NDArray[np.bool_]) -> None:
        """Store the chosen networks with the prices of all their neurons."""
        kept = networks.take(np.flatnonzero(chosen))
        if len(kept.weights):
            sizes = self.question.sizes(self._prices(kept)).max(axis=2)
            self._kept.append((kept.weights, kept.constants, sizes))

    def priced(self) -> Priced:
        """Simulate the stored networks and return the new atoms that violate their constraints."""
        search = self.search
        return new_atoms(self._violating(), self.question, search._sequences, search._readout)

    def _violating(self) -> Iterator[Witness]:
        if not self._kept:
            return
        weights, constants, sizes = map(np.concatenate, zip(*self._kept, strict=True))
        order = np.argsort(-sizes, axis=None, kind="stable")
        for flat in order[: np.count_nonzero(sizes > self.question.bar)].tolist():
            k, neuron = divmod(flat, sizes.shape[1])
            yield self.search._layers(weights[k], constants[k]), neuron


def _form(layers: list[Layer]) -> list[tuple[int, bool, bool, bool]]:
    """Return what two networks must share so that one can be changed into the other."""
    return [
        (layer.width, layer.recurrent is not None, layer.hard, layer.strict) for layer in layers
    ]


def _on_grid(weights: Array) -> Array:
    rounded: Array = np.clip(np.rint(weights / WEIGHT_GRID) * WEIGHT_GRID, -_LARGEST, _LARGEST)
    return rounded
