"""The race and the benchopt benchmark: every solver solves the program that it is timed on."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import bidual as bd

BENCHMARKS = Path(bd.__file__).parent / "benchmarks"
if not BENCHMARKS.exists():
    pytest.skip("needs the checkout, not an installed wheel", allow_module_level=True)
sys.path[:0] = [str(BENCHMARKS)]

import race  # noqa: E402
from benchmark_utils import peers, programs  # noqa: E402

pytestmark = pytest.mark.slow


def program(loss="squared", intercept=False):
    design, target = programs.correlated(n=60, atoms=40)
    return programs.state(design, target, loss, 0.1, intercept)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("loss", ["squared", "logistic", "hinge"])
@pytest.mark.parametrize("name", peers.PEERS)
@pytest.mark.filterwarnings("ignore")  # of solvers that are asked for more than they can
def test_every_solver_reaches_the_gap_of_the_race(name, loss, intercept):
    stated, peer = program(loss, intercept), peers.PEERS[name]
    if (reason := peer.refuses(stated)) is not None:
        pytest.skip(reason)
    peer.warm_up(stated)
    each = race.RACES["squared-0.5"]
    gaps = [
        race.certified(race.fit(name, each, stated, peer.prepare(stated), tolerance))
        for tolerance in peer.tolerances
    ]
    # its 100,000 iterations do not bring a splitting method further on linear programs
    reached = race.GAPS[0] if (name, loss) == ("osqp", "hinge") else race.GAPS[1]
    assert min(gaps) <= reached
    assert gaps[-1] < gaps[0] or max(gaps) <= race.GAPS[1]  # a tolerance is one


@pytest.mark.parametrize("name", peers.PATHS)
def test_every_path_reaches_the_gap_at_each_strength(name):
    stated = program()
    if (reason := peers.PEERS[name].refuses(stated)) is not None:
        pytest.skip(reason)
    path = replace(race.RACES["path-squared"], shares=(1.0, 0.3, 0.1))
    prepared = peers.PEERS[name].prepare(stated)
    for tolerance in (1e-3, 1e-9):
        answers = race.fit(name, path, stated, prepared, tolerance)
    strengths = [at.strength for at, *_ in answers]
    assert strengths == [share * stated.lambda_max for share in path.shares]
    assert race.certified(answers) <= race.GAPS[1]


def test_each_race_is_run_by_solvers_that_there_are():
    for name, each in race.RACES.items():
        assert set(each.peers) <= set(peers.PEERS), name
        assert not each.shares or set(each.peers) <= set(peers.PATHS)


def test_each_solver_of_the_benchmark_names_its_peer():
    files = (BENCHMARKS / "spiking_lasso" / "solvers").glob("*.py")
    named = {file.stem: f'name = "{file.stem}"' in file.read_text() for file in files}
    assert set(named) == set(peers.PEERS) - {"adelie"}  # which serves a race of another loss
    assert all(named.values())


@pytest.mark.skipif("BIDUAL_ADELIE" not in os.environ, reason="BIDUAL_ADELIE names no Python")
def test_adelie_solves_the_program_of_its_race():
    design, _ = programs.correlated(200, 30)
    labels = np.eye(3)[np.random.default_rng(0).integers(0, 3, 200)]
    stated = programs.state(design, labels, "softmax", 0.1, penalty="group")
    peer = peers.PEERS["adelie"]
    assert peer.refuses(stated) is None
    server = peer.prepare(stated)
    gaps = [
        race.certified([(stated, *peer.fit(stated, server, tolerance))])
        for tolerance in peer.tolerances
    ]
    assert min(gaps) <= race.GAPS[1]


def test_targets_of_addition_stand_in_the_order_of_the_rows():
    design, target = programs.addition_lif(samples=30, subnetworks=3)
    X, digits = bd.tasks.addition(samples=30)
    atoms = programs.EVERY.sample(X, subnetworks=3, seed=0)
    expected = programs.EVERY.program(atoms, digits, "hinge", strength=0.1)
    assert np.array_equal(design.to_dense(), expected.design.to_dense())
    assert np.array_equal(target, expected.target[:, 0])


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.95])
def test_simulated_columns_have_the_density_and_their_neighbours_the_correlation(correlation):
    design, target = programs.correlated(2000, 300, density=0.15, correlation=correlation)
    dense = design.to_dense()
    assert (dense.mean(axis=0) == 0.15).all()
    assert sorted(set(target)) == [-1.0, 1.0]
    shared = np.corrcoef(dense.T)
    near, far = np.diagonal(shared, 1).mean(), np.diagonal(shared, 150).mean()
    # cutting makes correlations smaller, never larger; the mean of 299 has deviation 0.0013
    assert near <= correlation + 0.01
    assert near >= 0.5 * correlation - 0.01
    assert abs(far) < 0.01


def test_simulated_data_follow_the_seed():
    one, again, other = (programs.correlated(50, 20, seed=s)[0].to_dense() for s in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_libsvm_file_becomes_zeros_and_ones(tmp_path, monkeypatch):
    file = tmp_path / "data.svm"
    file.write_text("2 1:0.5 3:-1\n1 2:1\n2 1:3 2:0\n")
    design, target = programs.libsvm(file)
    assert design.to_dense().tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert target.tolist() == [1, -1, 1]
    file.write_text("0.5 1:1\n1.5 2:1\n-2 1:1\n")
    monkeypatch.setenv("BIDUAL_LIBSVM", str(file))
    assert programs.libsvm()[1].tolist() == [0.5, 1.5, -2]
    monkeypatch.delenv("BIDUAL_LIBSVM")
    with pytest.raises(ValueError, match=r"^path: .* got None; give path or set BIDUAL_LIBSVM"):
        programs.libsvm()


def test_seconds_to_a_gap_are_those_of_the_fastest_run_that_got_there():
    points = [(1.0, 1e-2), (2.0, 1e-4), (9.0, 1e-7), (3.0, 5e-7), (11.0, 1e-10)]
    assert race.seconds_to(points, cap=10) == [2.0, 3.0, np.inf]
    assert race.seconds_to([], cap=10) == [np.inf] * 3


def test_a_ratio_is_that_of_the_best_peer_or_a_bound_by_the_cap():
    medians = {"newton": [1.0, 2.0, np.inf], "a": [5.0, np.inf, 3.0], "b": [4.0, np.inf, np.inf]}
    assert race.ratios_of(medians, cap=10) == [(4.0, "b"), (5.0, None), (0.0, "a")]


def options(**parts):
    return SimpleNamespace(**{"cap": 60.0, "rounds": 1, "json": None, "plot": None, **parts})


def small_race(peer="sklearn"):
    return race.Race(lambda: programs.correlated(60, 40), "squared", 0.1, (peer,), 10)


def test_a_race_is_run_printed_and_drawn(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(race, "RACES", {"small": small_race()})
    files = [str(tmp_path / name) for name in ("race.json", "race.png")]
    arguments = ["race.py", "--rounds", "1", "--json", files[0], "--plot", files[1]]
    monkeypatch.setattr(sys, "argv", arguments)
    race.main()
    shown = capsys.readouterr().out
    assert "sklearn    scikit-learn" in shown  # its settings
    result = json.loads(Path(files[0]).read_text())["races"]["small"]
    for solver in ("newton", "sklearn"):
        seconds = result["seconds"][solver]
        assert 0 < seconds[0] <= seconds[1] <= seconds[2]
        assert min(gap for _, gap in result["points"][solver]) <= race.GAPS[-1]
    assert result["ratios"][1]["peer"] == "sklearn"
    assert Path(files[1]).read_bytes()[:4] == b"\x89PNG"


def test_a_solver_over_the_cap_is_killed_and_counts_as_a_bound(monkeypatch):
    def sleep(program, prepared, tolerance):
        time.sleep(0 if program.design.shape[1] < 100 else 600)  # but not to warm up
        return np.zeros(program.design.shape[1]), np.zeros(1), None

    slow = replace(peers.PEERS["sklearn"], fit=sleep)
    monkeypatch.setitem(peers.PEERS, "sklearn", slow)
    each = replace(small_race(), data=lambda: programs.correlated(60, 200))
    monkeypatch.setattr(programs, "small", lambda program: program.take(range(10)))
    monkeypatch.setattr(peers, "small", lambda program: program.take(range(10)))
    cap = 5.0  # newton needs milliseconds, and on a busy machine a hundred times as many
    medians, points = race.take_turns(
        ("newton", "sklearn"), each, each.program(), options(cap=cap, rounds=2)
    )
    assert points["sklearn"] == []  # killed: it would have answered after ten minutes
    assert medians["sklearn"] == [np.inf] * 3
    ratio, who = race.ratios_of(medians, cap)[1]
    assert ratio == cap / medians["newton"][1]
    assert who is None


def test_what_can_not_run_says_why(monkeypatch, capsys):
    monkeypatch.delenv("BIDUAL_DATA", raising=False)
    assert race.report("mnist-softmax-group-0.05", options()) is None
    assert "not run, folder: expected the folder of MNIST's files" in capsys.readouterr().out
    monkeypatch.delenv("BIDUAL_ADELIE", raising=False)
    takes, out = race.runners(race.RACES["mnist-softmax-group-0.05"], program())
    assert takes[0] == "newton"
    assert out["adelie"] == "adelie is not installed"
    gone = replace(peers.PEERS["celer"], package="no-such-package")
    assert gone.refuses(program()) == "no-such-package is not installed"


def test_the_benchopt_benchmark_passes_its_own_tests():
    pytest.importorskip("benchopt")
    folder = str(Path(sys.executable).parent)
    done = subprocess.run(
        [f"{folder}/benchopt", "test", str(BENCHMARKS / "spiking_lasso"), "--skip-install"],
        # it calls the pytest that it finds first
        env={**os.environ, "PATH": folder + os.pathsep + os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
