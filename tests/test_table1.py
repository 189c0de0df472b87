"""The benchmark of the paper's Table 1, in miniature: what each of its columns claims."""

import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import bidual as bd
from bidual.certificates import checker

BENCHMARKS = Path(bd.__file__).parent / "benchmarks"
if not BENCHMARKS.exists():
    pytest.skip("needs the checkout, not an installed wheel", allow_module_level=True)
sys.path.insert(0, str(BENCHMARKS))

import table1  # noqa: E402

SMALL = table1.Setting(steps=5, first=16, last=32, train=60, test=20)


def stated(setting, subnetworks, shared):
    """Dictionary and program of a row, from the classes alone."""
    (X, y), _ = setting.strings(shared)
    lif = bd.LIF((setting.first // subnetworks, setting.last // subnetworks), reset="immediate")
    atoms = lif.sample(X, subnetworks=subnetworks)
    targets = np.column_stack([np.where(y == 0, 1.0, -1.0), np.where(y == 1, 1.0, -1.0)])
    strength = table1.BETA / np.sqrt(setting.last)
    program = bd.ConvexProgram(atoms.atoms, targets, "hinge", strength)
    return lif, atoms, program


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("subnetworks", [2, 8])
def test_a_row_has_an_exact_gap_below_a_billionth_of_the_objective_at_zero(subnetworks, shared):
    row = table1.measure(SMALL, subnetworks, shared)
    gap = Fraction(row["exact_gap_fraction"])
    assert 0 <= gap <= Fraction(1, 10**9) * 2
    # each of two outputs has a hinge of 1; row weights 1/n are rounded, and the bound down
    assert row["at_zero"] == pytest.approx(2.0, rel=1e-13)
    assert row["exact_gap_share"] >= gap / 2
    assert row["exact_gap"] == float(gap)
    # both values are rounded to float64, which their difference shows
    assert row["primal"] - row["dual"] == pytest.approx(float(gap), abs=4e-16)
    assert row["gap"] <= row["exact_gap"]
    assert json.loads(json.dumps(row))["atoms"] == row["atoms"]


@pytest.mark.parametrize("subnetworks", [2, 8])
def test_the_objective_of_a_row_is_that_of_another_solver_and_of_the_rebuilt_network(subnetworks):
    row = table1.measure(SMALL, subnetworks, False)
    lif, atoms, program = stated(SMALL, subnetworks, False)
    assert row["strength"] == pytest.approx(program.strength, rel=1e-15)
    assert (row["atoms"], row["rows"]) == (atoms.atoms.shape[1], SMALL.train)
    other = bd.solve(program, "highs", gap=1e-9)
    # both lie above the optimum, within their gaps
    room = 1e-15 * program.reference
    assert other.certificate.dual <= row["primal"] + room
    assert row["dual"] <= other.certificate.primal + room
    assert row["rebuilt_off_by"] <= 1e-12 * row["primal"]
    # by hand, of the other solver's network: the hinges' mean and beta times the outer norms
    network = lif.network(atoms, other)
    (X, _), _ = SMALL.strings(False)
    margins = program.target * network.decision_function(X)
    beta = table1.BETA / np.sqrt(subnetworks)
    norms = np.linalg.norm(network.readout_weights, axis=1).sum()
    objective = np.maximum(1 - margins, 0).mean(axis=0).sum() + beta * norms
    assert objective == pytest.approx(other.certificate.primal, rel=1e-12)


def test_the_gap_of_a_row_is_proven_by_the_checker_alone(tmp_path):
    _, _, program = stated(SMALL, 2, False)
    solution = bd.solve(program, gap=table1.GAP)
    certificate = bd.certify(program, solution, exact=True)
    certificate.save(tmp_path / "row.cert")
    proven = checker.check(tmp_path / "row.cert")
    row = table1.measure(SMALL, 2, False)
    assert Fraction(proven.claims["gap"], 2**proven.bound_bits) == certificate.absolute_gap
    assert str(certificate.absolute_gap) == row["exact_gap_fraction"]


def test_apart_no_string_is_on_both_sides_and_shared_some_are():
    for setting in (SMALL, table1.Setting()):
        sides = {}
        for shared in (False, True):
            (X, y), (X_new, y_new) = setting.strings(shared)
            assert len(X) == setting.train
            assert abs(y.mean() - 0.5) < 1e-15
            assert np.array_equal(y_new, X_new[:, 0, 1] != X_new[:, -1, 1])
            sides[shared] = [{x.tobytes() for x in side} for side in (X, X_new)]
        train, test = sides[False]
        assert not train & test
        train, test = sides[True]
        assert train & test
    X_new = table1.Setting().strings(False)[1][0]
    assert len(X_new) == len({x.tobytes() for x in X_new}) == 410  # a fifth of 2,048


@pytest.mark.parametrize("subnetworks", table1.SUBNETWORKS)
def test_the_formulation_is_that_of_the_paper(subnetworks):
    setting = table1.Setting()
    lif = setting.formulation(subnetworks)
    assert np.multiply(lif.hidden, subnetworks).tolist() == [128, 512]
    bank = lif.sample(setting.strings(False)[1][0], subnetworks).witnesses
    for layer in bank.layers(0):
        assert (layer.leak == 0.99).all()
        assert (layer.threshold == 1.0).all()
        assert (layer.reset == 0.99).all()  # taken at once, and then leaking as the rest does
    beta = table1.BETA / np.sqrt(subnetworks)
    assert lif.strength(beta) == pytest.approx(0.01 / np.sqrt(512), rel=1e-15)
