"""The health report counts what fires, from the spikes themselves, and warns of dead layers."""

import re
import warnings

import numpy as np
import pytest

import bidual as bd
from bidual.dictionaries import roll

SHAPES = {"last": 1, "every": 8}


@pytest.fixture(scope="module")
def X():
    return bd.tasks.digits()[0][:70]


NEURON = bd.Neuron(0.9, 1.0)


def bank(hidden=(16, 8), neuron=NEURON, subnetworks=6, **rest):
    return bd.SampledWitnesses(8, hidden, subnetworks, 3, neuron, **rest)


def quietly(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return bd.health(*args, **kwargs)


@pytest.mark.parametrize("readout", SHAPES)
@pytest.mark.parametrize("neuron", [bd.Neuron(0.9, 1.0), bd.Neuron(0.9, (-2.0, 6.0), 0.0)])
def test_every_number_is_counted_from_the_spikes(readout, neuron, X):
    witnesses = bank((12, 9), neuron)
    report = quietly(X, witnesses, readout)
    columns = []
    for k in range(6):
        spikes = roll(X, witnesses.layers(k))
        assert report.rates[k].tolist() == pytest.approx([layer.mean() for layer in spikes])
        final = spikes[-1].transpose(1, 0, 2)[-SHAPES[readout] :]
        columns.append(final.reshape(-1, 9))
    every = [roll(X, witnesses.layers(k)) for k in range(6)]
    for depth in range(2):
        together = np.concatenate([spikes[depth] for spikes in every], axis=2)
        assert report.silent[depth] == pytest.approx(np.mean(~together.any(axis=(0, 1))))
        assert report.saturated[depth] == pytest.approx(np.mean(together.all(axis=(0, 1))))
    dense = np.concatenate(columns, axis=1)
    different = {column.tobytes() for column in dense.T if column.any()}
    assert report.rows == len(dense)
    assert report.columns == dense.shape[1] == 54
    assert report.zero * 54 == pytest.approx(np.sum(~dense.any(axis=0)))
    assert report.ones * 54 == pytest.approx(np.sum(dense.all(axis=0)))
    assert report.distinct * 54 == pytest.approx(len(different))
    assert report.repeated * 54 == pytest.approx(np.sum(dense.any(axis=0)) - len(different))
    assert report.ranked == len(different)
    assert report.rank == np.linalg.matrix_rank(dense)


def test_the_cases_above_hold_silent_saturated_zero_and_all_one_columns(X):
    report = quietly(X, bank((12, 9), bd.Neuron(0.9, (-2.0, 6.0), 0.0)))
    assert min(report.silent.max(), report.saturated.max(), report.zero, report.ones) > 0


def test_repeats_are_counted(X):
    # one sample has two columns: zero and one
    report = quietly(X[:1], bank())
    assert report.repeated > 0
    assert report.distinct * report.columns == pytest.approx(1)
    assert report.rank == report.ranked == 1


def test_a_dead_layer_is_warned_of_with_advice(X):
    witnesses = bank((16, 8, 4), bd.Neuron(0.5, (1.0, 1.5)), law="fan-in")
    with pytest.warns(bd.DeadLayerWarning, match=r"layer 2 has no spikes in .*Lower the thresh"):
        report = bd.health(X / 2, witnesses)
    assert report.dead[0] < 0.5 <= report.dead[1]
    assert np.array_equal(report.dead, (report.rates == 0).mean(axis=0))


def test_threshold_units_that_never_fire_are_told_of_the_sides_of_inputs(X):
    units = bd.Feedforward((1,)).witnesses(8, 60)
    below = np.full((5, 1, 8), 1e3) + X[:5, :1]
    with pytest.warns(bd.DeadLayerWarning, match="Centre the inputs") as caught:
        bd.health(below, units)
    assert "threshold" not in str(caught[0].message)


def test_a_dictionary_of_a_single_atom_says_why():
    X = np.random.default_rng(0).integers(0, 9, (30, 3)) * 2.0**-14 + [1, 2, 4]
    with pytest.warns(UserWarning, match="have the same atom; centre the inputs"):
        atoms = bd.Feedforward((1,)).sample(X)
    assert atoms.atoms.shape[1] == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        centred = X - np.round(X.mean(axis=0) * 2**14) / 2**14
        assert bd.Feedforward((1,)).sample(centred).atoms.shape[1] > 9


@pytest.mark.parametrize(("dead", "warned"), [(2, False), (3, True), (6, True)])
def test_half_of_the_subnetworks_are_enough_to_warn(dead, warned, X):
    chains = [bank().layers(k) for k in range(6)]
    for layers in chains[:dead]:
        layers[1] = bd.Layer.build(np.zeros((16, 8)), 0.9, 1.0)
    witnesses = bd.GivenWitnesses(chains)
    if warned:
        with pytest.warns(bd.DeadLayerWarning, match="layer 2"):
            report = bd.health(X, witnesses)
    else:
        report = quietly(X, witnesses)
    assert report.dead.tolist() == [0, dead / 6]


def test_silent_inputs_are_named_as_the_cause(X):
    with pytest.warns(bd.DeadLayerWarning, match="layer 1 .*the inputs are too weak"):
        report = bd.health(X * 0, bank())
    assert (report.zero, report.distinct, report.rank) == (1.0, 0.0, 0)


def test_only_so_many_subnetworks_are_looked_at(X):
    few = quietly(X, bank(subnetworks=2))
    many = quietly(X, bank(subnetworks=5), subnetworks=2)
    assert np.array_equal(few.rates, many.rates)
    assert few.columns == many.columns
    with pytest.raises(ValueError, match=r"^subnetworks: expected a whole number of at least 1"):
        bd.health(X, bank(), subnetworks=0)


def test_printed_report_tells_layers_columns_and_rank(X):
    report = quietly(X, bank())
    shown = str(report)
    assert re.search(rf"^    2 .*{report.rates[:, 1].mean():.3f}", shown, re.MULTILINE)
    assert f"48 columns of 70 rows: {report.zero:.1%} all zero" in shown
    assert shown.endswith(f"rank {report.rank} of the {report.ranked} atoms")


def test_plot_shows_a_box_a_layer_and_a_bar_a_share(X):
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    report = quietly(X, bank())
    left, right = report.plot().axes
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["1", "2"]
    widths = [bar.get_width() for bar in right.patches]
    assert widths == [report.distinct, report.repeated, report.ones, report.zero]


@pytest.mark.parametrize("readout", [None, "lats"])
def test_an_unknown_readout_is_refused(readout, X):
    with pytest.raises(ValueError, match=r"^readout: expected"):
        bd.health(X, bank(), readout)
