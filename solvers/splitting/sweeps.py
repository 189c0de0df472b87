"""Sweeps of ADMM splitting: updates of weights, spikes, membranes and multiplier per batch."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from ...dictionaries import Layer, as_sequences
from ...dictionaries.validation import Array
from ...formulations.losses import Loss
from ...formulations.splitting import (
    Equations,
    Factor,
    Fit,
    SplitSamples,
    Violations,
    output_error,
    relax_membranes,
    relax_spikes,
    time_major,
    violations,
)
from ...networks import SpikingNetwork
from ..anderson import Anderson
from ..backend import Backend
from ..solution import Status
from ..solve import solve
from .memory import Memory
from .settings import SplittingSettings

_BALANCE, _FACTOR = 10.0, 2.0  # residual balancing, as in Boyd et al. (2011), section 3.4.1
_RANGE = 1e3  # largest factor between a penalty and its initial value, either way
_LASSO_GAP = 1e-6
_LEAST_RIDGE = 1e-3  # ridge of the first readout if weight_decay is smaller


@dataclass(frozen=True)
class Sweep:
    """Figures of training after a sweep, before the update of multiplier and penalties.

    Attributes
    ----------
    seconds : float
        Time since training began.
    lagrangian : float
        The augmented Lagrangian: the sum of the next five attributes.
    loss, multiplier : float
        Loss of the relaxed outputs, and the inner product of multiplier and error.
    dynamics : tuple of L float
        Penalty of each layer's equation.
    spikes : tuple of L - 1 float
        Penalty of the distance between relaxed spikes and those of their membranes.
    decay : float
        Penalty of the weights.
    rise : float
        Amount by which the sweep raised the Lagrangian at the same multiplier and penalties,
        else 0.
    residuals : tuple of L float
        Root mean square error of each layer's equation.
    output_residual : float
        The same for the equation with the multiplier: the output at the last step.
    disagreement : tuple of L - 1 float
        Mean of \\|a - [z > threshold]\\| of each hidden layer.
    simulated_loss : float
        Mean loss of the simulated network over the training samples.
    accuracy : float or None
        Share of training samples that the simulated network classifies correctly; None in
        regression.
    rho, spike_rho : tuple of float
        The penalties of the sweep.
    accelerated : bool
        Whether the sweep accepted an Anderson step.
    """

    seconds: float
    lagrangian: float
    loss: float
    multiplier: float
    dynamics: tuple[float, ...]
    spikes: tuple[float, ...]
    decay: float
    rise: float
    residuals: tuple[float, ...]
    output_residual: float
    disagreement: tuple[float, ...]
    simulated_loss: float
    accuracy: float | None
    rho: tuple[float, ...]
    spike_rho: tuple[float, ...]
    accelerated: bool


@dataclass(frozen=True)
class _Sums:
    """Terms of the Lagrangian, summed over all samples."""

    layers: list[Violations]
    loss: float
    held: float  # inner product of multiplier and error
    error_squares: float
    decay: float

    def dynamics(self, equations: Equations) -> tuple[float, ...]:
        """Return the penalty of each layer's equation."""
        pairs = zip(equations.rho, self.layers, strict=True)
        return tuple(0.5 * float(rho) * found.dynamics for rho, found in pairs)

    def spikes(self, equations: Equations) -> tuple[float, ...]:
        """Return the penalty of each hidden layer's relaxed spikes."""
        pairs = zip(equations.spike_rho, self.layers[:-1], strict=True)
        return tuple(0.5 * float(spike_rho) * found.spikes for spike_rho, found in pairs)

    def lagrangian(self, equations: Equations) -> float:
        """Return the augmented Lagrangian, the sum of all terms."""
        penalties = sum(self.dynamics(equations)) + sum(self.spikes(equations))
        return self.loss + self.held + penalties + self.decay


class Training:
    """State of training: the weights, and the membranes and spikes of all batches."""

    def __init__(
        self,
        settings: SplittingSettings,
        X: ArrayLike,
        targets: Array,
        loss: Loss,
        classes: NDArray[np.generic] | None,
        batch: int | None,
        seed: int,
    ) -> None:
        self._settings, self._loss, self._classes = settings, loss, classes
        self._shape = np.shape(X)
        n, _, inputs = self._shape
        self._widths = (*settings.hidden, targets.shape[1])
        self._equations = Equations(
            float(settings.leak),
            float(settings.threshold),
            np.full(len(self._widths), float(settings.rho)),
            np.full(len(settings.hidden), float(settings.spike_rho)),
            float(settings.weight_decay),
            settings.weight_norm == "l1",
        )
        self._size = size = min(batch or n, n)
        self._memory = Memory(in_files=size < n)
        self._known: list[bytes] = []  # digests of the inputs, batch by batch
        self._batches = [self._batch(X, rows, targets) for rows in self._rows()]
        shapes = list(zip((inputs, *settings.hidden), self._widths, strict=True))
        sizes = [fan_in * width for fan_in, width in shapes]
        self._flat = np.zeros(sum(sizes))  # all weights; the arrays below are views
        parts = np.split(self._flat, np.cumsum(sizes)[:-1])
        self.weights = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
        self._input_gram: tuple[Array, Factor] | None = None  # and its factor
        if settings.initial == "simulated":
            self._simulate_first(np.random.Generator(np.random.Philox(seed)))
        else:
            self._draw(seed)
        self._sums = self._measured()
        depth = settings.acceleration
        self._anderson = Anderson(depth, self._memory.allocate) if depth else None
        self._starts = [self._memory.allocate(part.size) for part in self._state if depth]
        self._done, self._midway = 0, False

    def again(
        self,
        settings: SplittingSettings,
        X: ArrayLike,
        targets: Array,
        loss: Loss,
        classes: NDArray[np.generic] | None,
        sweeps: int,
    ) -> "Training":
        """Continue after ``sweeps`` sweeps; raise ValueError if data or settings differ."""
        if sweeps != self._done:
            raise ValueError(
                f"start: this result has already been continued by {self._done - sweeps} sweeps; "
                "pass the latest result"
            )
        held = np.concatenate([batch.targets for batch in self._batches])
        for name, same in (
            ("settings", settings == self._settings),
            ("shape of X", np.shape(X) == self._shape),
            ("X", np.shape(X) == self._shape and self._digests(X) == self._known),
            ("y", np.array_equal(held, targets) and _alike(classes, self._classes)),
            ("loss", type(loss) is type(self._loss) and vars(loss) == vars(self._loss)),
        ):
            if not same:
                raise ValueError(
                    f"start: expected a result with the same {name}, got another {name}"
                )
        if self._midway:  # interrupted
            self._sums, self._midway = self._measured(), False
            if self._anderson:
                self._anderson.forget()
        return self

    def sweep(self, renews: bool, backend: str | Backend) -> Sweep:
        """Update all blocks once, then the multiplier if ``renews``, then the penalties."""
        self._midway = True
        equations = self._equations
        before = self._sums.lagrangian(equations)
        sums, moves, accelerated = self.relax(renews, backend)
        n, outputs = self._shape[0], self._widths[-1]
        simulated_loss, accuracy = self._simulated()
        after = sums.lagrangian(equations)
        record = Sweep(
            seconds=0.0,
            lagrangian=after,
            loss=sums.loss,
            multiplier=sums.held,
            dynamics=sums.dynamics(equations),
            spikes=sums.spikes(equations),
            decay=sums.decay,
            rise=max(after - before, 0.0),
            residuals=tuple(float(np.sqrt(v.dynamics / v.count)) for v in sums.layers),
            output_residual=float(np.sqrt(sums.error_squares / (n * outputs))),
            disagreement=tuple(v.apart / v.count for v in sums.layers[:-1]),
            simulated_loss=simulated_loss,
            accuracy=accuracy,
            rho=tuple(equations.rho.tolist()),
            spike_rho=tuple(equations.spike_rho.tolist()),
            accelerated=accelerated,
        )
        if self._settings.adaptive:
            self._balance(moves)
        self._done, self._midway = self._done + 1, False
        return record

    def relax(
        self, renews: bool, backend: str | Backend
    ) -> tuple[_Sums, list[tuple[float, int]], bool]:
        """Update all blocks once, then the multiplier if ``renews``.

        Return the sums before the update of the multiplier, the squared moves and flips of each
        layer, and whether an Anderson step was accepted.
        """
        if self._anderson:
            for start, part in zip(self._starts, self._state, strict=True):
                start[:] = part
        layers, moves = [], []
        for layer, weights in enumerate(self.weights):
            weights[:] = self._fitted(layer, backend)
            found, squares, flips = self._relaxed(layer)
            layers.append(found)
            moves.append((squares, flips))
        sums, accelerated = self._outputs(layers), False
        if self._anderson:
            self._anderson.add(self._starts, self._state)
            if self._anderson.mix(self._state):
                sums, accelerated = self._take_or_leave(sums)
        self._sums = self._renewed(sums) if renews else sums
        return sums, moves, accelerated

    def network(self) -> SpikingNetwork:
        """Build the network of the current weights."""
        leak, threshold = self._equations.leak, self._equations.threshold
        return SpikingNetwork(
            subnetworks=[[Layer.build(W, leak, threshold, strict=True) for W in self.weights[:-1]]],
            inputs=self._shape[2],
            hidden=tuple(self._settings.hidden),
            readout_weights=self.weights[-1][None].copy(),
            intercept=np.zeros(self._widths[-1]),
            readout="last",
            classes=self._classes,
            readout_leak=leak,
        )

    def _draw(self, seed: int) -> None:
        """Start as in the paper: zero weights, membranes and spikes uniform in [0, 1)."""
        samples = count()
        for batch in self._batches:
            for i in range(len(batch.targets)):  # a stream per sample: equal for all batch sizes
                random = np.random.Generator(np.random.Philox(key=[seed, next(samples)]))
                for array in (*batch.membranes, *batch.spikes):
                    array[:, i] = random.random(array[:, i].shape)

    def _simulate_first(self, random: np.random.Generator) -> None:
        """Start from a network that satisfies all equations.

        The first layer is Gaussian, with currents of the threshold's size. Upper layers copy the
        spikes of the layer below neuron by neuron; additional neurons are Gaussian. The readout
        is fitted to the targets.
        """
        equations = self._equations
        for layer, weights in enumerate(self.weights[:-1]):
            square = sum(_size(batch.feeds(layer)) ** 2 for batch in self._batches)
            size = np.sqrt((square or 1.0) / (self._shape[0] * self._shape[1]))
            weights[:] = random.standard_normal(weights.shape) * equations.threshold / size
            if layer > 0:
                alike = min(weights.shape)
                weights[:, :alike] = np.eye(len(weights), alike) * equations.copying
            for batch in self._batches:
                batch.obey(layer, weights, equations)
        back = equations.leak ** np.arange(self._shape[1] - 1, -1, -1.0)
        traces = [np.tensordot(back, batch.spikes[-1], 1) for batch in self._batches]
        fit = Fit(
            _total(A.T @ A for A in traces),
            _total(A.T @ batch.targets for A, batch in zip(traces, self._batches, strict=True)),
        )
        self.weights[-1][:] = fit.ridge(max(equations.decay, _LEAST_RIDGE), fit.factor)
        for batch in self._batches:
            batch.obey(len(self._widths) - 1, self.weights[-1], equations)

    def _fitted(self, layer: int, backend: str | Backend) -> Array:
        """Return the minimising weights of a layer."""
        equations = self._equations
        share = equations.decay / float(equations.rho[layer])
        cross = _total(batch.cross(layer, equations) for batch in self._batches)
        known = self._input_gram if layer == 0 else None
        gram = known[0] if known else _total(batch.gram(layer) for batch in self._batches)
        fit = Fit(gram, cross)
        factor = known[1] if known else fit.factor
        if layer == 0:
            self._input_gram = gram, factor
        if equations.l1 and gram.any():
            solution = solve(fit.lasso(share, factor), backend=backend, gap=_LASSO_GAP)
            if solution.status is Status.INTERRUPTED:  # Ctrl-C ends all of training
                raise KeyboardInterrupt
            # an answer that misses the gap may be worse than the previous weights
            return min(solution.weights, self.weights[layer], key=solution.program.primal)
        return fit.ridge(share, factor)

    def _relaxed(self, layer: int) -> tuple[Violations, float, int]:
        """Update spikes and membranes of a layer; return violations, squared moves and flips."""
        found, squares, flips = Violations(0.0, 0.0, 0.0, 0), 0.0, 0
        for batch in self._batches:
            currents = batch.currents(layer, self.weights[layer])
            if layer + 1 < len(self._widths):
                above, exact = self.weights[layer + 1], self._settings.spikes == "exact"
                relax_spikes(batch, layer, currents, above, self._equations, exact)
            jacobi = self._settings.order == "jacobi"
            moved = relax_membranes(batch, layer, currents, self._equations, self._loss, jacobi)
            squares, flips = squares + moved[0], flips + moved[1]
            found += violations(batch, layer, currents, self._equations)
        return found, squares, flips

    def _measured(self) -> _Sums:
        """Recompute all currents and return all sums."""
        layers = [Violations(0.0, 0.0, 0.0, 0) for _ in self._widths]
        for layer, weights in enumerate(self.weights):
            for batch in self._batches:
                currents = batch.currents(layer, weights)
                layers[layer] += violations(batch, layer, currents, self._equations)
        return self._outputs(layers)

    def _outputs(self, layers: list[Violations]) -> _Sums:
        """Return all sums, given those of the layers."""
        loss = held = squares = 0.0
        for batch, error in zip(self._batches, self._errors(), strict=True):
            loss += float(self._loss.value(batch.membranes[-1][-1], batch.targets).sum())
            held += float((batch.multiplier * error).sum())
            squares += float((error**2).sum())
        return _Sums(layers, loss, held, squares, self._equations.weight_decay(self.weights))

    def _errors(self) -> list[Array]:
        """Return the error (n, C) of the equation with the multiplier, per batch."""
        W, leak = self.weights[-1], self._equations.leak
        return [output_error(batch, batch.spikes[-1][-1:] @ W, leak) for batch in self._batches]

    def _take_or_leave(self, sums: _Sums) -> tuple[_Sums, bool]:
        """Accept the mixed state if it does not raise the Lagrangian; else restore the last."""
        assert self._anderson is not None
        for batch in self._batches:
            for spikes in batch.spikes:
                np.clip(spikes, 0.0, 1.0, out=spikes)
        taken = False
        try:
            found = self._measured()
            taken = found.lagrangian(self._equations) <= sums.lagrangian(self._equations)
        finally:  # after Ctrl-C too, a mixture that was not compared is undone
            if not taken:
                self._anderson.restore(self._state)
        return (found, True) if taken else (sums, False)

    def _renewed(self, sums: _Sums) -> _Sums:
        """Update the multiplier and return the sums with its new term."""
        rho = float(self._equations.rho[-1])
        for batch, error in zip(self._batches, self._errors(), strict=True):
            batch.multiplier += rho * error
        return replace(sums, held=sums.held + rho * sums.error_squares)

    def _balance(self, moves: list[tuple[float, int]]) -> None:
        """Double or halve penalties whose primal and dual residuals are far apart.

        The dual residual of an equation is rho times the move of its membranes. The dual
        residual of relaxed spikes is spike_rho times the move of the membranes' spikes. The
        multiplier belongs to the unscaled equation and does not change.
        """
        old, settings = self._equations, self._settings
        rho, spike_rho = old.rho.copy(), old.spike_rho.copy()
        for layer, ((squares, flips), found) in enumerate(
            zip(moves, self._sums.layers, strict=True)
        ):
            rho[layer] = _balanced(rho[layer], settings.rho, found.dynamics, squares)
            if layer < spike_rho.size:
                spike_rho[layer] = _balanced(
                    spike_rho[layer], settings.spike_rho, found.spikes, flips
                )
        if (rho != old.rho).any() or (spike_rho != old.spike_rho).any():
            self._equations = replace(old, rho=rho, spike_rho=spike_rho)
            if self._anderson:
                self._anderson.forget()

    def _simulated(self) -> tuple[float, float | None]:
        """Return mean loss and accuracy of the simulated network."""
        loss, right = 0.0, 0
        for batch in self._batches:
            outputs = batch.simulate(self.weights, self._equations)
            loss += float(self._loss.value(outputs, batch.targets).sum())
            if outputs.shape[1] == 1:
                right += int(((outputs >= 0) == (batch.targets > 0)).sum())
            else:
                right += int((outputs.argmax(axis=1) == batch.targets.argmax(axis=1)).sum())
        n = self._shape[0]
        return loss / n, None if self._classes is None else right / n

    @property
    def _state(self) -> list[Array]:
        return [self._flat, *(batch.state for batch in self._batches)]

    def _rows(self) -> list[slice]:
        """Return the slice of samples of each batch."""
        n, size = self._shape[0], self._size
        return [slice(first, min(first + size, n)) for first in range(0, n, size)]

    def _digests(self, X: ArrayLike) -> list[bytes]:
        return [_digest(time_major(X[rows], as_sequences)) for rows in self._rows()]  # type: ignore[index]

    def _batch(self, X: ArrayLike, rows: slice, targets: Array) -> SplitSamples:
        """Build the batch of samples ``rows``; only a single batch keeps its inputs in memory."""
        n, steps, _ = self._shape

        def read() -> Any:
            return time_major(X[rows], as_sequences)  # type: ignore[index]

        inputs = read()  # refused before any work
        self._known.append(_digest(inputs))
        samples = rows.stop - rows.start
        return SplitSamples(
            (lambda: inputs) if samples == n else read,
            targets[rows],
            self._widths,
            steps,
            self._memory.allocate(SplitSamples.size(samples, steps, self._widths)),
        )


def _digest(inputs: Any) -> bytes:
    """Return a hash of inputs, to compare them with later ones."""
    found = hashlib.blake2b()
    is_sparse = sparse.issparse(inputs)
    for part in (inputs.data, inputs.indices, inputs.indptr) if is_sparse else (inputs,):
        found.update(np.ascontiguousarray(part).data)
    return found.digest()


def _alike(left: NDArray[np.generic] | None, right: NDArray[np.generic] | None) -> bool:
    """Whether labels are equal, or both are None."""
    if left is None or right is None:
        return left is right
    return bool(left.dtype.kind == right.dtype.kind and np.array_equal(left, right))


def _size(array: Any) -> float:
    """Return the Frobenius norm of an array, sparse or not."""
    return float(np.linalg.norm(array.data if sparse.issparse(array) else array))


def _total(arrays: Iterable[Array]) -> Array:
    return reduce(np.add, arrays)


def _balanced(now: float, first: float, primal: float, moved: float) -> float:
    """Return the balanced penalty, given squared primal residuals and squared moves."""
    primal, dual = np.sqrt(primal), now * np.sqrt(moved)
    if primal > _BALANCE * dual:
        return min(now * _FACTOR, first * _RANGE)
    if dual > _BALANCE * primal:
        return max(now / _FACTOR, first / _RANGE)
    return now
