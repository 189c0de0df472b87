"""Layers of a PyTorch network in the order they run: Linear layers, each with its neurons.

The functions import PyTorch when they are called. They compare types exactly,
because a subclass may compute something else.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels.text import printable
from ..neuron import Layer
from .linear_maps import LinearMap, linear_map, product

Reader = Callable[[Any, NDArray[np.float64], NDArray[np.float64]], Layer]


def to_array(tensor: Any) -> NDArray[np.float64]:
    """Convert a tensor to float64, which represents all real floats of PyTorch exactly.

    Raises
    ------
    ValueError
        If the tensor is complex, or on the meta device, where it has no values.
    """
    if tensor.is_complex():
        raise ValueError(f"expected real numbers, got {tensor.dtype}")
    if tensor.is_meta:
        raise ValueError("expected values, got a tensor on the meta device, which has none")
    array: NDArray[np.float64] = tensor.detach().cpu().double().numpy()
    return array


def fires_above_only(surrogate: Callable[[Any], Any]) -> bool:
    """Tell whether a spike function fires only at x > 0, and not at x = 0.

    Raises
    ------
    ValueError
        If the function is not a step at 0.
    """
    import torch

    x = torch.tensor([-2.0, -0.25, -1e-30, 0.0, 1e-30, 0.25, 2.0])
    try:
        with torch.no_grad():
            spikes = to_array(surrogate(x))
    except RuntimeError as error:
        raise ValueError(f"expected spikes of a step at the threshold: {error}") from error
    for above_only in (True, False):
        if np.array_equal(spikes, x.numpy() > 0 if above_only else x.numpy() >= 0):
            return above_only
    raise ValueError(f"expected spikes of a step at the threshold, got {spikes} at {x.numpy()}")


def _check_called_as_written(name: str, module: Any) -> None:
    """Raise ValueError if calling a module may compute more than its class defines."""
    if module._forward_pre_hooks:
        raise ValueError(
            f"{name}: expected no forward pre-hooks, which may change its inputs or weights; "
            f"remove them (make pruning or weight norm permanent)"
        )
    if module._forward_hooks:
        raise ValueError(
            f"{name}: expected no forward hooks, which may change its outputs; remove them"
        )
    if "forward" in vars(module):
        raise ValueError(
            f"{name}: expected the forward of its class, got one set on the module; delete it"
        )


def _in_order(network: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield name and module of each layer in order; raise ValueError if a module has hooks."""
    from torch import nn

    if isinstance(network, nn.Module):
        name = f"layer {printable(path[:-1])} ({type(network).__name__})" if path else "network"
        _check_called_as_written(name, network)
    if isinstance(network, list | tuple | nn.ModuleList):
        modules: Any = ((str(i), module) for i, module in enumerate(network))
    else:
        modules = network._modules.items()  # named_children() leaves repeated modules out
    for name, module in modules:
        if getattr(type(module), "forward", None) is nn.Sequential.forward:
            yield from _in_order(module, f"{path}{name}.")
            continue
        # includes inner modules, for example the recurrent Linear of an RLeaky
        parts = module.named_modules() if isinstance(module, nn.Module) else ()
        for part, inside in parts:
            whole = f"{path}{name}.{part}" if part else path + name
            _check_called_as_written(f"layer {printable(whole)} ({type(inside).__name__})", inside)
        yield path + name, module


def read_layers(
    network: Any,
    neurons: dict[type, Reader],
    linear: tuple[type, ...] = (),
    passing: tuple[type, ...] = (),
) -> list[Layer]:
    """Read a network of Linear layers and neurons in turn; Linears in a row are multiplied.

    Parameters
    ----------
    network : nn.Sequential, nn.ModuleList, list or tuple of modules
    neurons : dict
        For each type of neuron a function of the module, the weights and the bias of
        the Linears before it, which returns a Layer.
    linear, passing : tuple of types
        Types to treat as ``nn.Linear``, and types that pass signals on, in addition to
        PyTorch's.

    Raises
    ------
    ValueError
        If a layer has another type, is out of order, or is refused by its reader; or
        if a module has hooks, or a ``forward`` set on it, which may change its result.
    """
    from torch import nn

    if not (
        isinstance(network, list | tuple | nn.ModuleList)
        or getattr(type(network), "forward", None) is nn.Sequential.forward
    ):
        raise ValueError(
            f"network: expected an nn.Sequential or a list of layers in the order they run, "
            f"got {type(network).__name__}, whose forward bidual can't read"
        )
    linear = (nn.Linear, *linear)
    passing = (nn.Identity, nn.Flatten, nn.Dropout, *passing)
    spiking = " or ".join(kind.__name__ for kind in neurons)
    layers: list[Layer] = []
    seen: set[int] = set()
    before: list[LinearMap] = []  # Linears that still need their neurons
    for name, module in _in_order(network):
        kind = type(module)
        try:
            if kind in passing:
                _check_passes(module)
            elif kind in linear:
                bias = None if module.bias is None else to_array(module.bias)
                before.append(linear_map(to_array(module.weight), bias))
            elif kind in neurons:
                if not before:
                    raise ValueError("expected a Linear before it")
                if id(module) in seen:
                    raise ValueError("occurs twice and would share its membrane; use a copy")
                seen.add(id(module))
                layers.append(neurons[kind](module, *product(before)))
                before = []
            elif isinstance(module, nn.modules.batchnorm._BatchNorm):
                raise ValueError(
                    f"expected Linear and {spiking} layers only; after training, fold it into the "
                    f"Linear before it with torch.nn.utils.fusion.fuse_linear_bn_eval"
                )
            else:
                raise ValueError(f"expected Linear and {spiking} layers only")
        except ValueError as error:
            raise ValueError(f"layer {printable(name)} ({kind.__name__}): {error}") from error
    if not layers:
        raise ValueError(f"network: expected a Linear followed by {spiking}, found none")
    return layers


def _check_passes(module: Any) -> None:
    """Raise ValueError for a Dropout in training mode, and a Flatten with other axes."""
    if getattr(module, "p", 0) > 0 and module.training:
        raise ValueError("drops at random while training; call eval() first")
    if hasattr(module, "start_dim") and (module.start_dim, module.end_dim) != (1, -1):
        raise ValueError("expected start_dim=1 and end_dim=-1, which keep the samples apart")
