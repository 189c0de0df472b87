"""The picture of a comparison: gap against time, and one digit as spikes."""

import io
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .. import SpikingNetwork

_FLOOR = 1e-16  # gaps of exactly 0 are drawn here


def draw(
    results: dict[str, Any], network: SpikingNetwork, image: NDArray[np.float64], winner: str
) -> bytes:
    """Draw a comparison as a PNG.

    Parameters
    ----------
    results : dict
        What ``compare.json`` holds.
    network : SpikingNetwork
        Rebuilt from the winner's answer.
    image : (T, d) array
        The sequence whose spikes are shown.
    winner : str
        The backend whose network it is.
    """
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(1, 3, width_ratios=(5, 1.6, 4))
    _draw_gaps(figure.add_subplot(grid[0]), results)
    _draw_input(figure.add_subplot(grid[1]), image)
    _draw_raster(figure.add_subplot(grid[2]), network, image, winner)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _draw_gaps(axes: Any, results: dict[str, Any]) -> None:
    for row in results["rows"]:
        if row["history"]:
            seconds, gaps = np.array(row["history"]).T
            axes.loglog(seconds, np.maximum(gaps, _FLOOR), ".-", label=row["backend"], lw=1)
    axes.axhline(results["program"]["gap"], color="0.6", lw=0.8, ls=":")
    program = results["program"]
    axes.set(
        xlabel="seconds of solving",
        ylabel="certified relative gap",
        title=f"{program['loss']} loss, {program['rows']} x {program['atoms']}, "
        f"{program['outputs']} outputs",
    )
    axes.legend(fontsize=8)


def _draw_input(axes: Any, image: NDArray[np.float64]) -> None:
    axes.imshow(image, cmap="gray_r", aspect="equal")
    axes.set(title="input", ylabel="step", xticks=[], yticks=range(0, len(image), 2))


def _draw_raster(
    axes: Any, network: SpikingNetwork, image: NDArray[np.float64], winner: str
) -> None:
    """Spikes of the final neuron of every subnetwork, by its weight for the answer."""
    spikes = np.array([layers[-1][0, :, 0] for layers in network.simulate(image[None])])
    outputs = network.decision_function(image[None]).reshape(-1, network.intercept.size)
    answer = int(outputs[-1].argmax())
    weights = network.readout_weights.sum(axis=1)[:, answer]
    order = np.argsort(weights)
    neurons, steps = np.nonzero(spikes[order])
    largest = float(np.abs(weights).max()) or 1.0
    drawn = axes.scatter(
        steps, neurons, c=weights[order][neurons], cmap="coolwarm", s=6, marker="s",
        vmin=-largest, vmax=largest,
    )  # fmt: skip
    axes.figure.colorbar(drawn, ax=axes, label="readout weight for the answer")
    predicted = network.predict(image[None])[0]
    axes.set(
        xlabel="step",
        ylabel="final neuron of each subnetwork",
        xticks=range(len(image)),
        title=f"spikes of {winner}'s network; it says {predicted}",
    )
