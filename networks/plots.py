"""Plots of simulated networks; the functions import matplotlib when they draw."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def draw_raster(spikes: Sequence[NDArray[np.uint8]], across: str, figure: Any) -> Any:
    """Draw spikes, one array (K, points, width) per layer, as marks; return the figure."""
    axes_of_layers, figure = _axes(len(spikes), across, figure)
    for depth, (axes, layer) in enumerate(zip(axes_of_layers, spikes, strict=True), start=1):
        subnetworks, points, width = layer.shape
        subnetwork, point, neuron = np.nonzero(layer)
        row = subnetwork * width + neuron
        axes.vlines(point, row - 0.4, row + 0.4, color="black", lw=1.5)  # marks stay in their rows
        axes.hlines(
            np.arange(1, subnetworks) * width - 0.5, -0.5, points - 0.5, color="0.8", lw=0.5
        )
        axes.set(
            title=f"spikes of layer {depth}",
            ylabel=f"{subnetworks} x {width} neurons",
            xlim=(-0.5, points - 0.5),
            ylim=(max(subnetworks * width, 1) - 0.5, -0.5),
        )
    return figure


def draw_membranes(
    thresholds: Sequence[NDArray[np.float64]],
    membranes: Sequence[NDArray[np.float64]],
    spikes: Sequence[NDArray[np.uint8]],
    across: str,
    figure: Any,
) -> Any:
    """Draw membranes, one array (points, width) per layer, one line per neuron; return figure."""
    axes_of_layers, figure = _axes(len(membranes), across, figure)
    drawn = zip(axes_of_layers, thresholds, membranes, spikes, strict=True)
    for depth, (axes, levels, layer, fired) in enumerate(drawn, start=1):
        for level in np.unique(levels):
            axes.axhline(level, color="0.5", ls=":", lw=1)
        for neuron in range(layer.shape[1]):
            fires = np.flatnonzero(fired[:, neuron])
            axes.plot(layer[:, neuron], lw=0.8, marker="o", markersize=3, markevery=fires.tolist())
        axes.set(title=f"layer {depth}, fires at dots", ylabel="membrane before reset")
    return figure


def _axes(layers: int, across: str, figure: Any) -> tuple[list[Any], Any]:
    """Return one axes per layer, one below the other, and their figure."""
    if figure is None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 1 + 2.2 * layers), layout="constrained")
    axes: list[Any] = figure.subplots(layers, 1, sharex=True, squeeze=False)[:, 0].tolist()
    axes[-1].set_xlabel(across)
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    return axes, figure
