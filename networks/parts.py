"""Checks of the parts of a network that fit together: its inputs, grid and subnetworks."""

from typing import Any


def check_subnetworks(network: Any) -> None:
    """Raise ValueError unless the grid and the layers fit the network's inputs and widths."""
    grid, inputs = network.grid, network.inputs
    if grid is not None and (grid.inputs != inputs or grid.unit):
        raise ValueError(f"grid: expected an InputGrid of {inputs} columns and unit 0, got {grid}")
    shapes = list(zip((inputs, *network.hidden[:-1]), network.hidden, strict=True))
    for k, layers in enumerate(network.subnetworks):
        found = [layer.weights.shape for layer in layers]
        if found != shapes:
            raise ValueError(
                f"subnetworks: expected layers of shapes {shapes} in subnetwork {k}, got {found}"
            )
        for depth, layer in enumerate(layers):
            if reason := network.refuses(layer):
                raise ValueError(
                    f"subnetworks: expected {reason} in a {type(network).__name__}, got another "
                    f"layer {depth + 1} in subnetwork {k}"
                )
