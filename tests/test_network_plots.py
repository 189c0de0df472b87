"""Plots of a network draw what it simulates: every artist is compared with the numbers."""

import subprocess
import sys

import numpy as np
import pytest

import bidual as bd
from bidual.dictionaries import check_sequences
from bidual.networks import RecurrentNetwork, SpikingNetwork, ThresholdNetwork

pytest.importorskip("matplotlib", reason="plots need matplotlib")

KINDS = {
    "spiking": (SpikingNetwork, bd.Neuron((0.8, 0.99), (0.25, 1.5), "hard"), False),
    "threshold": (ThresholdNetwork, bd.THRESHOLD_UNIT, False),
    "recurrent": (RecurrentNetwork, bd.THRESHOLD_UNIT, True),
}
HIDDEN = (6, 3)
POINTS = 9

on_every_kind = pytest.mark.parametrize("kind", KINDS)


def network_of(kind, subnetworks=4):
    network_class, neuron, recurrent = KINDS[kind]
    bank = bd.SampledWitnesses(2, HIDDEN, 4, 1, neuron, recurrent=recurrent, bias=True)
    layers = [bank.layers(k) for k in range(subnetworks)]
    weights = np.ones((subnetworks, 3, 1))
    return network_class(layers, 2, HIDDEN, weights, np.zeros(1), "last", None)


# one sequence of nine steps, or for threshold units nine samples
x = check_sequences(np.random.default_rng(3).normal(size=(1, POINTS, 2)))[0]


def simulated(network, method):
    """What ``method`` gives on x: for each subnetwork and layer (points, width)."""
    alone = isinstance(network, ThresholdNetwork)
    found = getattr(network, method)(x if alone else x[None])
    return [[layer if alone else layer[0] for layer in layers] for layers in found]


def rendered(figure):
    """The pixels of a figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


@on_every_kind
def test_a_raster_has_a_mark_for_each_spike(kind):
    network = network_of(kind)
    figure = network.raster(x)
    spikes = simulated(network, "simulate")
    assert len(figure.axes) == len(HIDDEN)
    for depth, (axes, width) in enumerate(zip(figure.axes, HIDDEN, strict=True)):
        marks, between = axes.collections
        segments = np.array(marks.get_segments())  # (spikes, two ends, across and row)
        assert np.array_equal(segments[:, 0, 0], segments[:, 1, 0])
        assert np.array_equal(np.rint(segments[:, 0, 1]), np.rint(segments[:, 1, 1]))
        drawn = np.zeros((POINTS, 4 * width), dtype=int)
        np.add.at(drawn, tuple(np.rint(segments[:, 0]).astype(int).T), 1)
        expected = np.concatenate([layers[depth] for layers in spikes], axis=1)
        assert np.array_equal(drawn, expected)
        assert 0 < expected.sum() < expected.size
        # every mark is within the axes, first neuron on top
        assert axes.get_xlim() == (-0.5, POINTS - 0.5)
        assert axes.get_ylim() == (4 * width - 0.5, -0.5)
        heights = [segment[0, 1] for segment in between.get_segments()]
        assert heights == [k * width - 0.5 for k in (1, 2, 3)]
        assert axes.get_title() == f"spikes of layer {depth + 1}"
        assert axes.get_ylabel() == f"4 x {width} neurons"
    assert figure.axes[-1].get_xlabel() == ("sample" if kind == "threshold" else "step")
    assert len(np.unique(rendered(figure))) > 1


@on_every_kind
@pytest.mark.parametrize("subnetwork", [0, 3])
def test_a_membrane_plot_has_a_line_for_each_neuron_and_a_dot_for_each_spike(kind, subnetwork):
    network = network_of(kind)
    figure = network.membrane_plot(x, subnetwork)
    membranes = simulated(network, "membranes")[subnetwork]
    spikes = simulated(network, "simulate")[subnetwork]
    layers = network.subnetworks[subnetwork]
    assert len(figure.axes) == len(HIDDEN)
    for axes, layer, u, fired in zip(figure.axes, layers, membranes, spikes, strict=True):
        levels = np.unique(layer.threshold)
        thresholds, neurons = axes.lines[: levels.size], axes.lines[levels.size :]
        assert [line.get_ydata()[0] for line in thresholds] == levels.tolist()
        assert {line.get_linestyle() for line in thresholds} == {":"}
        assert len(neurons) == u.shape[1]
        for neuron, line in enumerate(neurons):
            assert np.array_equal(line.get_xdata(), np.arange(POINTS))
            assert np.array_equal(line.get_ydata(), u[:, neuron])
            assert line.get_marker() == "o"
            assert list(line.get_markevery()) == np.flatnonzero(fired[:, neuron]).tolist()
        low, high = axes.get_ylim()
        assert low <= u.min() <= u.max() <= high
        assert axes.get_ylabel() == "membrane before reset"
    assert figure.axes[-1].get_xlabel() == ("sample" if kind == "threshold" else "step")
    assert len(np.unique(rendered(figure))) > 1


def test_a_neuron_that_never_fires_has_no_dot():
    layer = bd.Layer.build([[1.0]], 0.5, 100.0)
    network = SpikingNetwork([[layer]], 1, (1,), np.ones((1, 1, 1)), np.zeros(1), "last", None)
    (axes,) = network.membrane_plot(np.ones((4, 1))).axes
    _, line = axes.lines
    assert list(line.get_markevery()) == []
    with_dots = rendered(axes.figure)
    line.set_marker("None")
    assert np.array_equal(rendered(axes.figure), with_dots)


@on_every_kind
@pytest.mark.parametrize("plot", ["raster", "membrane_plot"])
def test_plots_go_on_the_figure_that_they_are_given(kind, plot):
    from matplotlib.figure import Figure

    given = Figure()
    assert getattr(network_of(kind), plot)(x, figure=given) is given
    assert len(given.axes) == len(HIDDEN)


def test_a_network_without_subnetworks_has_an_empty_raster_and_no_membranes():
    network = network_of("recurrent", subnetworks=0)
    figure = network.raster(x)
    assert [len(axes.collections[0].get_segments()) for axes in figure.axes] == [0, 0]
    rendered(figure)
    with pytest.raises(ValueError, match=r"^subnetwork: the network has none"):
        network.membrane_plot(x)


@pytest.mark.parametrize("subnetwork", [-1, 4, 1.0, None])
def test_a_subnetwork_that_is_not_there_is_refused_by_name(subnetwork):
    with pytest.raises(ValueError, match=r"^subnetwork: expected a whole number from 0 to 3, got"):
        network_of("spiking").membrane_plot(x, subnetwork)


@pytest.mark.parametrize("plot", ["raster", "membrane_plot"])
def test_plots_refuse_what_is_not_one_sequence(plot):
    for wrong, message in (
        (x[None], r"x: expected one sequence of shape \(T, d\), got \(1, 9, 2\)"),
        (x[:, 0], r"x: expected one sequence"),
        (x[:, :1], r"X: expected 2 inputs"),
        (x * np.nan, "X: expected finite"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            getattr(network_of("spiking"), plot)(wrong)


@pytest.mark.slow
def test_only_plotting_imports_matplotlib():
    code = (
        "import sys, numpy as np, bidual as bd\n"
        "layer = bd.Layer.build([[1.0]], 0.5, 1.0)\n"
        "network = bd.SpikingNetwork([[layer]], 1, (1,), np.ones((1, 1, 1)), np.zeros(1), 'last',"
        " None)\n"
        "network.predict(np.ones((1, 2, 1)))\n"
        "print('matplotlib' in sys.modules)\n"
        "network.raster(np.ones((2, 1)))\n"
        "print('matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["False", "True", "False"]
