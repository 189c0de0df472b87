"""Reader of snnTorch networks; ``GivenWitnesses.from_snntorch`` documents it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..neuron import Layer, Reset, per_neuron
from .torch_layers import fires_above_only, read_layers, to_array

# for each reset_mechanism_val: snnTorch's name, its method, and the reset in bidual
_RESETS: list[tuple[str, str, Reset]] = [
    ("subtract", "_base_sub", "delayed"),
    ("zero", "_base_zero", "hard"),
    ("none", "_base_int", 0.0),
]


def read_snntorch(network: Any) -> list[Layer]:
    """Read the spiking layers of a snnTorch network.

    Raises
    ------
    ValueError
        If a layer is not a Linear, Leaky or RLeaky, or can't be represented as a Layer.
    """
    import snntorch

    return read_layers(network, {snntorch.Leaky: _read_leaky, snntorch.RLeaky: _read_rleaky})


def _read_leaky(
    neuron: Any,
    weights: NDArray[np.float64],
    bias: NDArray[np.float64],
    recurrent: NDArray[np.float64] | None = None,
) -> Layer:
    if neuron.inhibition:
        raise ValueError(
            "expected inhibition=False, got True: then only one neuron of the layer fires"
        )
    if neuron.state_quant:
        raise ValueError("expected state_quant=False: it rounds the membrane")
    if np.any(to_array(neuron.graded_spikes_factor) != 1):
        raise ValueError("expected graded_spikes_factor 1: spikes are 0 or 1")
    mechanism, computed_by, reset = _RESETS[int(neuron.reset_mechanism_val)]
    if neuron.state_function.__name__ != computed_by:
        raise ValueError(
            f"expected the reset_mechanism of the constructor, got {mechanism!r} set later, "
            f"which snnTorch does not apply; build the neuron with it"
        )
    if mechanism == "subtract" and not neuron.reset_delay:
        raise ValueError(
            "expected reset_delay=True, got False: then a membrane that stays above the "
            "threshold is reset once more"
        )
    if mechanism == "zero" and neuron.reset_delay and recurrent is not None:
        raise ValueError(
            "expected reset_delay=False with reset_mechanism='zero', got True: then RLeaky also "
            "drops the current after a spike"
        )
    threshold = to_array(neuron.threshold)
    strict = fires_above_only(neuron.spike_grad)
    fires_at_rest = threshold < 0 if strict else threshold <= 0
    resets_at_rest = mechanism == "subtract" or (mechanism == "zero" and not neuron.reset_delay)
    if resets_at_rest and fires_at_rest.any():
        raise ValueError(
            "expected thresholds above 0: otherwise snnTorch resets before the first step"
        )
    return Layer.build(
        weights,
        leak=np.clip(to_array(neuron.beta), 0.0, 1.0),
        threshold=threshold,
        reset=reset,
        bias=bias,
        recurrent=recurrent,
        strict=strict,
    )


def _read_rleaky(neuron: Any, weights: NDArray[np.float64], bias: NDArray[np.float64]) -> Layer:
    from torch import nn

    if not neuron.all_to_all:
        recurrent = np.diag(per_neuron("V", to_array(neuron.recurrent.V), weights.shape[1]))
    elif type(neuron.recurrent) is nn.Linear:
        recurrent = to_array(neuron.recurrent.weight).T
        if neuron.recurrent.bias is not None:
            bias = bias + to_array(neuron.recurrent.bias)  # snnTorch adds it at every step
    else:
        raise ValueError(f"expected a Linear recurrence, got {type(neuron.recurrent).__name__}")
    return _read_leaky(neuron, weights, bias, recurrent)
