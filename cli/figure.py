"""Figure of a comparison: gap against time, and the spikes of one digit."""

import io
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .. import Network

_FLOOR = 1e-16  # gaps of exactly 0 are drawn here


def draw(
    results: dict[str, Any],
    network: Network,
    sequence: NDArray[np.float64],
    label: Any,
    winner: str,
) -> bytes:
    """Draw a comparison as a PNG.

    Parameters
    ----------
    results : dict
        The contents of ``compare.json``.
    network : Network
        Rebuilt from the winner's answer.
    sequence : (T, d) array
        The sequence whose spikes are shown.
    label : label
        The true label of the sequence.
    winner : str
        The backend of the best answer.
    """
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(1, 3, width_ratios=(5, 1.6, 4))
    _draw_gaps(figure.add_subplot(grid[0]), results)
    _draw_input(figure.add_subplot(grid[1]), sequence, label)
    _draw_raster(figure.add_subplot(grid[2]), network, sequence, winner)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _draw_gaps(axes: Any, results: dict[str, Any]) -> None:
    for row in results["rows"]:
        if row["history"]:
            seconds, gaps = np.array(row["history"]).T
            axes.loglog(seconds, np.maximum(gaps, _FLOOR), ".-", label=row["backend"], lw=1)
    axes.axhline(results["program"]["asked_gap"], color="0.6", lw=0.8, ls=":")
    program = results["program"]
    axes.set(
        xlabel="seconds of compiling and solving",
        ylabel="certified relative gap",
        title=f"{program['loss']} loss, {program['rows']} x {program['atoms']}, "
        f"{program['outputs']} outputs",
    )
    axes.legend(fontsize=8)


def _draw_input(axes: Any, sequence: NDArray[np.float64], label: Any) -> None:
    axes.imshow(sequence, cmap="gray_r", aspect="equal")
    axes.set(
        title=f"held-out digit {label}",
        xlabel="inputs",
        ylabel="step (read downwards)",
        xticks=[],
        yticks=range(len(sequence)),
    )


def _draw_raster(axes: Any, network: Network, sequence: NDArray[np.float64], winner: str) -> None:
    """Draw the spikes of each subnetwork's final neuron, coloured by its weight for the answer."""
    if network.readout_weights.shape[0] == 0:
        axes.set_axis_off()
        axes.set_title(f"{winner}'s network has no neurons: its output is its intercept")
        return
    spikes = np.array([layers[-1][0, :, 0] for layers in network.simulate(sequence[None])])
    outputs = network.decision_function(sequence[None]).reshape(-1, network.intercept.size)
    answer = int(outputs[-1].argmax())
    weights = network.readout_weights.sum(axis=1)[:, answer]
    order = np.argsort(weights)
    raster = np.where(spikes[order] > 0, weights[order, None], np.nan)
    largest = float(np.abs(weights).max()) or 1.0
    drawn = axes.imshow(
        raster,
        aspect="auto",
        origin="lower",
        interpolation="none",
        cmap="coolwarm",
        vmin=-largest,
        vmax=largest,
    )
    axes.set_xticks(np.arange(0.5, len(sequence) - 1), minor=True)
    axes.grid(which="minor", axis="x", color="white", lw=4)
    axes.tick_params(which="minor", length=0)
    axes.figure.colorbar(drawn, ax=axes, label="readout weight for the answer")
    predicted = network.predict(sequence[None])[0]
    axes.set(
        xlabel="step",
        ylabel="subnetwork whose final neuron fires",
        xticks=range(len(sequence)),
        title=f"spikes of {winner}'s network, which predicts {predicted}",
    )
