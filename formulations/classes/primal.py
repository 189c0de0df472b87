"""Primal: the non-convex training objective of a network.

    reduced   loss(f(X), Y) + beta sum_k ||W_k||_p
    full      loss(f(X), Y) + (beta / 2) sum over nodes of (||incoming||_p^2 + amplitude^2)

At the best amplitudes the full objective is the reduced one plus the decay of the hidden neurons.
Scaling their weights, biases, thresholds and resets by s > 0 changes no spike (Ergen et al. 2023,
Lemmas 2.1 and 3.1; Udupi, Yang and Zhai 2026, Lemma 3.5). The decay scales by s**2, so that the
full objective tends to the reduced one as s tends to 0.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...dictionaries import Layer, Readout
from ...dictionaries.validation import Array, check_number
from ...networks import Network
from ..losses import Loss


@dataclass(frozen=True, eq=False)
class Primal:
    """The training problem of a network class on given data; ``NetworkClass.primal`` states it.

    Attributes
    ----------
    X : array
        Inputs in the form that the networks of the class take.
    target : (N, C) array
    loss : Loss
    row_weights : (N,) array
    beta : float
        Weight decay.
    hidden : tuple of int
        Widths of the layers of a subnetwork.
    readout : {"last", "every"}
    intercept : bool
        Whether networks may have an intercept, which is not penalised.
    p : float
    by_subnetwork : bool
        Whether an amplitude (output scale) belongs to a subnetwork, or else to a neuron.
    outputs_apart : bool
        Whether each output has its own amplitudes, and so its own subnetworks.

    Examples
    --------
    >>> import bidual as bd
    >>> X, y = bd.tasks.first_last_xor(steps=4)
    >>> lif = bd.LIF(hidden=(4,), leak=0.5)
    >>> atoms = lif.complete(X)
    >>> program = lif.program(atoms, y, "hinge", beta=0.1)
    >>> solution = bd.solve(program, gap=1e-9)
    >>> training = lif.primal(X, y, "hinge", beta=0.1)
    >>> network = solution.network()
    >>> abs(training.reduced(network) - program.primal(solution.weights)) < 1e-12
    True
    >>> over = [training.full(network, scale) - training.reduced(network) for scale in (1, 0.5)]
    >>> round(over[0] / over[1], 6)
    4.0
    """

    X: Any
    target: Array
    loss: Loss
    row_weights: Array
    beta: float
    hidden: tuple[int, ...]
    readout: Readout
    intercept: bool
    p: float
    by_subnetwork: bool
    outputs_apart: bool

    def data_loss(self, network: Any) -> float:
        """Return the weighted loss of a network's outputs.

        Raises
        ------
        ValueError
            If the network has other widths, another readout, a leaky readout, another number of
            outputs, or an intercept where the problem has none.
        TypeError
            If it is not a Network.
        """
        self._check(network)
        fit = network.decision_function(self.X)
        if self.readout == "every":
            fit = np.swapaxes(fit, 0, 1)  # D's rows are ordered by step
        values = self.loss.value(fit.reshape(self.target.shape), self.target)
        return float((self.row_weights @ values).sum())

    def norms(self, network: Any) -> Array:
        """Return the norms of the readout weights that each last amplitude scales."""
        return self._norms(network.readout_weights).ravel()

    def reduced(self, network: Any) -> float:
        """Return the loss plus beta times the norms of the readout."""
        return self.data_loss(network) + self.beta * float(self.norms(network).sum())

    def full(self, network: Any, scale: float = 1.0) -> float:
        """Return the loss plus weight decay of the network, with its hidden neurons scaled.

        The readout is split into weights and amplitudes of equal size, which minimises their
        decay. Amplitudes of inner neurons count as part of the weights of the next layer.

        Parameters
        ----------
        network : Network
            A network of the class.
        scale : float
            s > 0. Powers of two leave every spike unchanged in float64.

        Raises
        ------
        ValueError, TypeError
            If scale is not above 0, or as :meth:`data_loss`.
        """
        check_number("scale", scale)
        self._check(network)
        scaled = scale_hidden(network, scale)
        hidden = sum(
            float(self._incoming(layer).sum()) for layers in scaled.subnetworks for layer in layers
        )
        readout: Array = network.readout_weights
        amplitudes = np.sqrt(self._norms(readout))
        weights = np.divide(readout, amplitudes, out=np.zeros_like(readout), where=amplitudes > 0)
        last = float((self._norms(weights) ** 2 + amplitudes**2).sum())
        return self.data_loss(scaled) + 0.5 * self.beta * (hidden + last)

    def _check(self, network: Any) -> None:
        if not isinstance(network, Network):
            raise TypeError(f"network: expected a Network, got {type(network).__name__}")
        if tuple(network.hidden) != self.hidden:
            raise ValueError(f"network: expected layers of {self.hidden}, got {network.hidden}")
        if network.readout != self.readout:
            raise ValueError(f"network: expected readout {self.readout!r}, got {network.readout!r}")
        if network.readout_leak:
            raise ValueError(
                f"network: expected a readout without a leak, got {network.readout_leak:g}"
            )
        outputs = self.target.shape[1]
        if network.intercept.shape != (outputs,):
            raise ValueError(f"network: expected {outputs} outputs, got {network.intercept.size}")
        if network.intercept.any() and not self.intercept:
            raise ValueError(f"network: expected no intercept, got {network.intercept}")

    def _norms(self, readout: Array) -> Array:
        """Return the norms of a readout (K, m, C); the axes that a norm covers have length 1."""
        if self.by_subnetwork and not self.outputs_apart:
            flat = readout.reshape(len(readout), -1)
            norms: Array = np.linalg.norm(flat, ord=self.p, axis=1)[:, None, None]
            return norms
        if self.by_subnetwork:
            norms = np.linalg.norm(readout, ord=self.p, axis=1)[:, None]
            return norms
        if not self.outputs_apart:
            norms = np.linalg.norm(readout, ord=self.p, axis=2)[:, :, None]
            return norms
        return np.abs(readout)

    def _incoming(self, layer: Layer) -> Array:
        """Return, per neuron of a layer, ||.||_p**2 of the parameters that scale with it."""
        parts = [layer.weights, layer.bias[None], layer.threshold[None], layer.reset[None]]
        parts += [] if layer.recurrent is None else [layer.recurrent]
        norms: Array = np.linalg.norm(np.concatenate(parts), ord=self.p, axis=0)
        return norms**2


def scale_hidden(network: Any, scale: float) -> Any:
    """Return a network whose hidden neurons are scaled by ``scale``, which changes no spike.

    Weights, recurrent weights, biases, thresholds and resets are scaled; leaks are not (Udupi,
    Yang and Zhai 2026, Lemma 3.5). Membranes start at 0.
    """
    return replace(
        network,
        subnetworks=[[scale_layer(layer, scale) for layer in each] for each in network.subnetworks],
    )


def scale_layer(layer: Layer, scale: Any) -> Layer:
    """Return a layer with the membrane of each neuron times ``scale``, a number or (m,) numbers."""
    recurrent = None if layer.recurrent is None else layer.recurrent * scale
    return replace(
        layer,
        weights=layer.weights * scale,
        recurrent=recurrent,
        bias=layer.bias * scale,
        threshold=layer.threshold * scale,
        reset=layer.reset * scale,
    )
