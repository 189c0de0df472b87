"""Reader of spikingjelly networks; ``GivenWitnesses.from_spikingjelly`` documents it."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..neuron import Layer
from ..validation import real_array
from .torch_layers import fires_above_only, read_layers, to_array


def read_spikingjelly(network: Any) -> list[Layer]:
    """Read the spiking layers of a spikingjelly network.

    Raises
    ------
    ValueError
        If a layer is not a Linear, LIFNode, ParametricLIFNode or IFNode, or can't
        be represented as a Layer.
    """
    from spikingjelly.activation_based import layer, neuron

    return read_layers(
        network,
        {
            neuron.LIFNode: _read_lif,
            neuron.ParametricLIFNode: _read_parametric_lif,
            neuron.IFNode: _read_if,
        },
        linear=(layer.Linear,),
        passing=(layer.Flatten, layer.Dropout),
    )


def _read_lif(node: Any, weights: NDArray[np.float64], bias: NDArray[np.float64]) -> Layer:
    return _read_leaking(node, weights, bias, 1.0 / node.tau)


def _read_parametric_lif(
    node: Any, weights: NDArray[np.float64], bias: NDArray[np.float64]
) -> Layer:
    return _read_leaking(node, weights, bias, to_array(node.w.sigmoid()))


def _read_leaking(
    node: Any, weights: NDArray[np.float64], bias: NDArray[np.float64], share: ArrayLike
) -> Layer:
    """Read a node that loses ``share`` = 1 / tau of its membrane each step."""
    lost = real_array("tau", share)
    gain = lost if node.decay_input else np.ones(())
    return _read_node(node, weights * gain, bias * gain, leak=1.0 - lost)


def _read_if(node: Any, weights: NDArray[np.float64], bias: NDArray[np.float64]) -> Layer:
    return _read_node(node, weights, bias, leak=np.ones(()))


def _read_node(
    node: Any,
    weights: NDArray[np.float64],
    bias: NDArray[np.float64],
    leak: NDArray[np.float64],
) -> Layer:
    rest = 0.0 if node.v_reset is None else node.v_reset
    start = node._memories_rv["v"]  # the value that reset() sets; set_reset_value() changes it
    if np.any(real_array("v", start) != rest):
        raise ValueError(f"expected a membrane that starts at {rest}, got {start}")
    return Layer.build(
        weights,
        leak=leak,
        threshold=node.v_threshold - rest,  # the membrane decays to v_reset: take that as 0
        reset="immediate" if node.v_reset is None else "hard",
        bias=bias,
        strict=fires_above_only(node.surrogate_function),
    )
