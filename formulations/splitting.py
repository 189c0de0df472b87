"""ADMM splitting: a spiking network whose equations are penalties (Perin et al. 2025).

Hidden layers l < L fire where membranes z pass the threshold; the output L neither fires nor
resets. Let c_l = a_(l-1) W_l, where a_0 are the inputs. Terms before the first step are absent.
With sums over samples and steps, the augmented Lagrangian is

    sum loss(z_L[T], y) + <multiplier, e_L[T]> + rho_L/2 sum |e_L|**2
    + sum over l < L of  rho_l/2 sum |e_l|**2 + beta_l/2 sum |a_l - [z_l > threshold]|**2
    + sum over l of decay/2 |W_l|**2   or   decay |W_l|_1

    e_l[t] = z_l[t] - leak z_l[t-1] - c_l[t] + threshold a_l[t-1]    (no last term for l = L)

Each block, W_l, a_l in [0, 1] or one membrane, is minimised while the others are fixed. For W_l
and a_l these are convex programs, for a membrane two parabolas. Only the last equation has a
multiplier; the others are penalties, and spikes are relaxed to [0, 1]. The paper's loss is
|z - y|**2, which is the squared loss here with rho and beta halved.

Dense algebra uses NumPy only. SciPy brings a second BLAS, and on two cores its threads and those
of NumPy would block each other, since both spin while they wait.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..dictionaries import DenseMatrix
from ..dictionaries.threads.threads import split
from ..dictionaries.validation import Array, any_array, real_array
from ..kernels import splitting as kernels
from .losses import Loss
from .program import ConvexProgram

_STEP = 1e-5  # relative distance above the threshold of a membrane that must fire
_SPARSE = 0.1  # inputs with at most this share of nonzeros are stored sparse
_FLAT = 1e-12  # eigenvalues below this, relative to the largest, count as 0
_BOX_ACCURACY, _BOX_SWEEPS = 1e-10, 20_000
_BLOCK = 2**20  # spikes per block: 8 MB
_EMPTY = np.empty((0, 1))


@dataclass(frozen=True)
class Equations:
    """The equations of the layers, and the penalties for violating them.

    Attributes
    ----------
    leak, threshold : float
    rho : (L,) array
        Penalty of each layer's equation.
    spike_rho : (L - 1,) array
        Penalty of spikes that differ from those of the membranes, for each hidden layer.
    decay : float
        Weight decay.
    l1 : bool
        Whether weight decay is the l1 norm, instead of half the square.
    """

    leak: float
    threshold: float
    rho: Array
    spike_rho: Array
    decay: float = 0.0
    l1: bool = False

    @property
    def step(self) -> float:
        """Distance above the threshold of a membrane that must fire."""
        return _STEP * max(self.threshold, 1e-300)

    @property
    def copying(self) -> float:
        """Weight by which a neuron fires exactly when the neuron below it fires.

        With this weight an endless run of spikes takes the membrane to 1.2 thresholds, too low
        for a spike without input. From a leak of 0.9999 on the leak does not bound the membrane,
        and 10,000 spikes in a row cause one further spike.
        """
        return self.threshold * (1.0 + max(1.2 * (1.0 - self.leak), 1e-4))

    def weight_decay(self, weights: list[Array]) -> float:
        """Return the weight decay of the weights."""
        if self.l1:
            return self.decay * float(sum(np.abs(W).sum() for W in weights))
        return 0.5 * self.decay * float(sum((W**2).sum() for W in weights))


class SplitSamples:
    """Inputs, targets, membranes and spikes of some samples.

    Attributes
    ----------
    inputs : callable
        Returns the inputs, a (T * n, d) array or sparse array: row t * n + i is sample i at
        step t.
    targets : (n, C) array
    membranes : list of L (T, n, m_l) arrays
    spikes : list of L - 1 (T, n, m_l) arrays
        Relaxed, in [0, 1].
    multiplier : (n, C) array
    state : array
        All membranes and spikes; the arrays above are views of it.
    """

    def __init__(
        self,
        inputs: Callable[[], Any],
        targets: Array,
        widths: tuple[int, ...],
        steps: int,
        state: Array,
    ) -> None:
        self.inputs, self.targets, self.state = inputs, targets, state
        self.multiplier = np.zeros_like(targets)
        n = targets.shape[0]
        ends = np.cumsum([steps * n * m for m in (*widths, *widths[:-1])])
        parts = [
            part.reshape(steps, n, m)
            for part, m in zip(np.split(state, ends[:-1]), (*widths, *widths[:-1]), strict=True)
        ]
        self.membranes, self.spikes = parts[: len(widths)], parts[len(widths) :]

    @staticmethod
    def size(samples: int, steps: int, widths: tuple[int, ...]) -> int:
        """Return the number of entries of the state."""
        return samples * steps * (2 * sum(widths) - widths[-1])

    @property
    def steps(self) -> int:
        """T."""
        return int(self.membranes[0].shape[0])

    def feeds(self, layer: int) -> Any:
        """Return the inputs of a layer, (T * n, fan-in)."""
        if layer == 0:
            return self.inputs()
        return self.spikes[layer - 1].reshape(-1, self.spikes[layer - 1].shape[2])

    def currents(self, layer: int, weights: Array) -> Array:
        """Return the currents into a layer, (T, n, m)."""
        feeds = self.feeds(layer)
        found: Array = _times(feeds, weights) if sparse.issparse(feeds) else feeds @ weights
        return found.reshape(self.membranes[layer].shape)

    def fired(self, layer: int) -> Array:
        """Return the spikes of a layer for kernels; those of the output have no steps."""
        return _lanes(self.spikes[layer]) if layer < len(self.spikes) else _EMPTY

    def obey(self, layer: int, weights: Array, equations: Equations) -> None:
        """Set the membranes and spikes of a layer to those of the network."""
        z, c = _lanes(self.membranes[layer]), _lanes(self.currents(layer, weights))
        a, leak, threshold = self.fired(layer), equations.leak, equations.threshold
        _by_lanes(z, lambda first, last: kernels.fire(c, leak, threshold, first, last, z, a))

    def explained(self, layer: int, equations: Equations) -> Array:
        """Return the currents (T, n, m) that satisfy the equation of a layer's membranes."""
        z = _lanes(self.membranes[layer])
        out = np.empty_like(z)
        a, leak, threshold = self.fired(layer), equations.leak, equations.threshold
        _by_lanes(z, lambda first, last: kernels.explain(z, a, leak, threshold, first, last, out))
        return out.reshape(self.membranes[layer].shape)

    def wanted(self, layer: int, equations: Equations) -> Array:
        """Return these currents plus the multiplier's part: the targets of weights and spikes."""
        out = self.explained(layer, equations)
        if layer == len(self.spikes):
            out[-1] += self.multiplier / equations.rho[layer]
        return out

    def cross(self, layer: int, equations: Equations) -> Array:
        """Return A' X (fan-in, m) of a layer's inputs A and wanted currents X."""
        wanted = self.wanted(layer, equations)
        rows = wanted.reshape(-1, wanted.shape[2])
        feeds = self.feeds(layer)
        out: Array = _cross(feeds, rows) if sparse.issparse(feeds) else feeds.T @ rows
        return out

    def gram(self, layer: int) -> Array:
        """Return A' A (fan-in, fan-in) of a layer's inputs A."""
        feeds = self.feeds(layer)
        out = feeds.T @ feeds
        gram: Array = out.toarray() if sparse.issparse(out) else out
        return gram

    def simulate(self, weights: list[Array], equations: Equations) -> Array:
        """Return the outputs (n, C) at the last step of the network with these weights."""
        arriving = self.currents(0, weights[0])
        leak, threshold = equations.leak, equations.threshold
        for W in weights[1:]:
            c = _lanes(arriving)
            z, a = np.empty_like(c), np.empty_like(c)
            _by_lanes(
                c,
                lambda first, last, c=c, z=z, a=a: kernels.fire(  # type: ignore[misc]
                    c, leak, threshold, first, last, z, a
                ),
            )
            arriving = a.reshape(arriving.shape) @ W
        back = leak ** np.arange(self.steps - 1, -1, -1.0)
        outputs: Array = np.tensordot(back, arriving, 1)
        return outputs


def time_major(sequences: Any, check: Callable[[Any], Array] = np.array) -> Any:
    """Reorder inputs (n, T, d) for :class:`SplitSamples`; sparse if few entries are nonzero.

    ``check`` runs on one step at a time, since it takes several times the memory of its input.
    """
    X = any_array("X", sequences)
    steps = (check(X[:, t : t + 1])[:, 0] for t in range(max(X.shape[1], 1)))
    if np.count_nonzero(X) <= _SPARSE * X.size:
        return sparse.vstack([sparse.csr_array(step, dtype=float) for step in steps], format="csr")
    rows = np.empty((X.shape[1], X.shape[0], X.shape[2]))
    for row, step in zip(rows, steps, strict=True):
        row[:] = step
    return rows.reshape(-1, X.shape[2])


@dataclass(frozen=True)
class Fit:
    """Least squares of a layer's weights, from sums over samples and steps.

    Attributes
    ----------
    gram : (fan-in, fan-in) array
        A' A of the layer's inputs A.
    cross : (fan-in, m) array
        A' X of these inputs and the wanted currents X.
    """

    gram: Array
    cross: Array

    def ridge(self, share: float, factor: "Factor") -> Array:
        """Minimise |X - A W|**2 / 2 + share |W|**2 / 2; for share 0 return the smallest W."""
        found: Array = factor.inverse(share) @ self.cross
        return found

    @property
    def factor(self) -> "Factor":
        """Factor the Gram matrix; fits with the same matrix share the factor."""
        return Factor(self.gram)

    def lasso(self, strength: float, factor: "Factor") -> ConvexProgram:
        """State the program |R W - Q|**2 / 2 + strength |W|_1, whose row count is the matrix rank.

        R' R is the Gram matrix and R' Q the cross products. Up to a constant this is the program
        of all samples and steps, but its size does not depend on their number.
        """
        large = factor.large
        if not large.any():
            raise ValueError("X: expected inputs that are not all 0, got zeros")
        root, vectors = np.sqrt(factor.values[large])[:, None], factor.vectors[:, large]
        design = root * vectors.T
        target = vectors.T @ self.cross / root
        ones = np.ones(len(design))
        return ConvexProgram(DenseMatrix(design), target, "squared", strength, row_weights=ones)


class Factor:
    """Eigenvalues (ascending) and eigenvectors of a Gram matrix, and its last inverse."""

    def __init__(self, gram: Array) -> None:
        self.values, self.vectors = np.linalg.eigh(gram)
        self._inverse: tuple[float, Array] | None = None

    @property
    def large(self) -> NDArray[np.bool_]:
        """Mask of the eigenvalues that do not count as 0."""
        large: NDArray[np.bool_] = self.values > _FLAT * max(self.values[-1], 0.0)
        return large

    def inverse(self, share: float) -> Array:
        """Return (G + share I)^-1; for share 0 the pseudo-inverse."""
        if self._inverse is None or self._inverse[0] != share:
            inverses, kept = np.zeros_like(self.values), self.large | (share > 0)
            inverses[kept] = 1.0 / (np.maximum(self.values[kept], 0.0) + share)
            self._inverse = share, (self.vectors * inverses) @ self.vectors.T
        return self._inverse[1]


class SpikeFit:
    """Least squares for a hidden layer's spikes; all samples and steps but the last share a matrix.

    With everything else fixed, a_l[t] minimises rho' |x - a W|**2 / 2 of the next layer's equation,
    plus rho |e + threshold a|**2 / 2 of its own membranes at t + 1, plus beta |a - [z > .]|**2 / 2.
    """

    def __init__(self, above: Array, rho: float, rho_above: float, beta: float, reset: float):
        self._above, self._rho = above, rho_above
        self._own = {False: rho * reset * reset + beta, True: beta}

    def hessian(self, last: bool) -> Array:
        """Return the matrix (m, m) of the quadratic, at the last step or before."""
        out: Array = self._rho * (self._above @ self._above.T)
        out[np.diag_indices_from(out)] += self._own[last]
        return out

    @cached_property
    def _inverses(self) -> dict[bool, Array]:
        """Return the matrices for :meth:`ridge`, by the smaller inverse of Woodbury's identity."""
        W = self._above
        if W.shape[1] < W.shape[0]:
            small, eye = W.T @ W, np.eye(W.shape[1])
            matrices = {at: small + own / self._rho * eye for at, own in self._own.items()}
            sides = {at: W.T / own for at, own in self._own.items()}
        else:
            matrices = {at: self.hessian(at) for at in self._own}
            sides = dict.fromkeys(self._own, np.eye(W.shape[0]))
        inverses: dict[bool, Array] = {}
        for at, M in matrices.items():
            inverses[at] = real_array("M", np.linalg.solve(M, sides[at]))
        return inverses

    def ridge(self, pulls: Array, last: bool) -> Array:
        """Return the unconstrained minimisers (n, m) for rows of ``pulls``."""
        W, inverse = self._above, self._inverses[last]
        if W.shape[1] < W.shape[0]:
            out: Array = (pulls @ W) @ -inverse
            out += pulls / self._own[last]
            return out
        found: Array = pulls @ inverse
        return found


def box_least_squares(hessian: Array, pulls: Array, rows: Array) -> None:
    """Minimise x' H x / 2 - p' x over 0 <= x <= 1 for each row p (n, m), from and into ``rows``.

    All rows share the matrix H (m, m). Coordinate descent stops when no coordinate of a row moves
    by more than 1e-10 in a round, or after 20,000 rounds. For a nearly singular H the result may
    then be far from the best, but its objective never exceeds that of the start.
    """
    slopes = rows @ hessian - pulls

    def part(first: int, last: int) -> None:
        kernels.box_least_squares(hessian, _BOX_ACCURACY, _BOX_SWEEPS, first, last, slopes, rows)

    split(part, len(rows), rows.size * len(hessian))


def relax_spikes(
    samples: SplitSamples,
    layer: int,
    currents: Array,
    above: Array,
    equations: Equations,
    exact: bool,
) -> None:
    """Set the spikes of a hidden layer, all steps at once, as no term couples two steps.

    The spikes become the paper's ridge solution clipped to [0, 1], or with ``exact`` the best
    spikes in [0, 1]. ``above`` are the weights (m, k) of the next layer.
    """
    z, spikes = samples.membranes[layer], samples.spikes[layer]
    rho, beta = float(equations.rho[layer]), float(equations.spike_rho[layer])
    rho_above, leak, threshold = map(
        float, (equations.rho[layer + 1], equations.leak, equations.threshold)
    )

    def pull(block: slice, out: Array) -> None:
        args = _lanes(z), _lanes(currents), leak, threshold, rho, beta, block.start, block.stop
        _by_lanes(out, lambda i, j: kernels.pull_spikes(*args, i, j, out))

    wanted = samples.wanted(layer + 1, equations)
    fit = SpikeFit(above, rho, rho_above, beta, threshold)
    size = max(_BLOCK // z[0].size, 1)
    before = [slice(t, min(t + size, len(z) - 1)) for t in range(0, len(z) - 1, size)]
    for block in (*before, slice(len(z) - 1, len(z))):
        pulls = rho_above * (wanted[block].reshape(-1, above.shape[1]) @ above.T)
        pull(block, pulls.reshape(-1, _lanes(z).shape[1]))
        rows = spikes[block].reshape(pulls.shape)
        last = block.stop == len(z)
        if exact:
            box_least_squares(fit.hessian(last), pulls, rows)
        else:
            np.clip(fit.ridge(pulls, last), 0.0, 1.0, out=rows)


def relax_membranes(
    samples: SplitSamples,
    layer: int,
    currents: Array,
    equations: Equations,
    loss: Loss,
    jacobi: bool,
) -> tuple[float, int]:
    """Set each membrane of a layer to its best value with the others fixed.

    The steps are set in order; with ``jacobi`` all steps use the old membranes. The proximal
    operator of the loss sets the last membranes of the output. Returns the sum of squared moves
    and the number of flips.
    """
    z, c = samples.membranes[layer], currents
    leak, rho = equations.leak, float(equations.rho[layer])
    lanes, flat = _lanes(z), _lanes(c)
    moved = np.zeros((_blocks(lanes), 2))
    if layer < len(samples.spikes):
        own = equations.threshold, equations.step, rho, float(equations.spike_rho[layer]), jacobi
        args = lanes, _lanes(samples.spikes[layer]), flat, leak, *own
        _by_lanes(lanes, lambda i, j: kernels.relax_membranes(*args, i, j, moved))
        return float(moved[:, 0].sum()), int(moved[:, 1].sum())
    before_last = z[-2].copy() if len(z) > 1 else np.zeros_like(z[-1])
    held = lanes, flat, samples.multiplier.ravel(), leak, rho, jacobi
    _by_lanes(lanes, lambda i, j: kernels.relax_readout(*held, i, j, moved))
    previous = before_last if jacobi or len(z) == 1 else z[-2]
    point = c[-1] + leak * previous - samples.multiplier / rho
    new = loss.prox(point, samples.targets, np.full(len(point), 1.0 / rho))
    squares = float(moved[:, 0].sum() + ((new - z[-1]) ** 2).sum())
    z[-1] = new
    return squares, 0


@dataclass(frozen=True)
class Violations:
    """Violations of a layer's equations: sums over samples, steps and neurons.

    Attributes
    ----------
    dynamics, spikes : float
        Squared errors of the membranes' equations, and of spikes against [z > threshold].
    apart : float
        Sum of \\|a - [z > threshold]\\|.
    count : int
        Number of membranes.
    """

    dynamics: float
    spikes: float
    apart: float
    count: int

    def __add__(self, other: "Violations") -> "Violations":
        return Violations(
            self.dynamics + other.dynamics,
            self.spikes + other.spikes,
            self.apart + other.apart,
            self.count + other.count,
        )


def violations(
    samples: SplitSamples, layer: int, currents: Array, equations: Equations
) -> Violations:
    """Measure the violations of a layer."""
    z, a = _lanes(samples.membranes[layer]), samples.fired(layer)
    sums = np.zeros((_blocks(z), 3))
    args = z, a, _lanes(currents), equations.leak, equations.threshold
    _by_lanes(z, lambda i, j: kernels.violations(*args, i, j, sums))
    dynamics, spikes, apart = sums.sum(axis=0).tolist()
    return Violations(dynamics, spikes, apart, z.size)


def output_error(samples: SplitSamples, currents: Array, leak: float) -> Array:
    """Return e_L[T], (n, C), the residual of the equation with the multiplier."""
    z = samples.membranes[-1]
    before = leak * z[-2] if len(z) > 1 else 0.0
    error: Array = z[-1] - before - currents[-1]
    return error


def _times(A: sparse.csr_array, weights: Array) -> Array:
    """Return A W, computed in threads."""
    out = np.empty((A.shape[0], weights.shape[1]))
    held = A.indptr, A.indices, A.data, np.ascontiguousarray(weights)
    work = A.nnz * weights.shape[1] // 8
    split(lambda i, j: kernels.sparse_times(*held, i, j, out), len(out), work)
    return out


def _cross(A: sparse.csr_array, rows: Array) -> Array:
    """Return A' X, computed in threads."""
    out = np.zeros((A.shape[1], rows.shape[1]))
    held = A.indptr, A.indices, A.data, rows
    work = A.nnz * rows.shape[1] // 8
    split(lambda i, j: kernels.sparse_cross(*held, i, j, out), rows.shape[1], work, 256)
    return out


def _lanes(array: Array) -> Array:
    """View (T, n, m) as (T, lanes)."""
    return array.reshape(array.shape[0], -1)


def _blocks(lanes: Array) -> int:
    return -(-int(lanes.shape[1]) // kernels.LANES)


def _by_lanes(lanes: Array, task: Callable[[int, int], None]) -> None:
    """Call ``task(first, last)`` over blocks of lanes, in threads."""
    split(task, _blocks(lanes), 4 * lanes.size)
