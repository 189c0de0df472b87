"""What is no real number is refused by name wherever numbers are taken.

``CALLS`` lists every public callable that takes an array, with arguments that it accepts. A test
compares the list with the signatures of the package, so that no new argument is left out. Another
reads the source: only ``dictionaries/validation.py`` turns a caller's value into an array.
"""

import ast
import inspect
import re
from collections import UserList, deque
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

import bidual as bd
from bidual.dictionaries.validation import real_array

ROOT = Path(bd.__file__).parent
FOLDERS = ("certificates", "dictionaries", "formulations", "networks", "solvers", "tasks")

r = np.random.default_rng(0)
X = np.round(r.normal(size=(6, 4, 2)) * 16) / 16
POINTS = X[:, 0]
BITS = r.integers(0, 2, size=(6, 2, 1))
Y = np.array([1.0, -1.0, 1.0, -1.0, 1.0, 1.0])
ONES = np.ones(6)
DENSE = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]] * 2)
D, REAL = bd.BinaryMatrix.from_dense(DENSE), bd.DenseMatrix(DENSE)
PROGRAM = bd.ConvexProgram(D, Y, "squared", 0.1, intercept=True)
SOLUTION = bd.solve(PROGRAM)
LIF = bd.LIF(hidden=(3,), leak=0.5, gauge="neuron")
EVERY = bd.LIF(hidden=(3,), leak=0.5, gauge="neuron", readout="every")
UNITS = bd.Feedforward(hidden=(3,))
ATOMS, EVERY_ATOMS = LIF.sample(X, subnetworks=3), EVERY.sample(X, subnetworks=3)
BANK = LIF.witnesses(2, 3)
LAYER = bd.Layer.build([[1.0, 0.5], [0.5, 1.0]], 0.5, 0.25)
NETWORK = bd.SpikingNetwork([[LAYER]], 2, (2,), np.ones((1, 2, 1)), np.zeros(1), "last", None)
UNIT = bd.Layer.build([[1.0, 0.5], [0.5, 1.0]], 0.0, 0.0, 0.0)
FLAT = bd.ThresholdNetwork([[UNIT]], 2, (2,), np.ones((1, 2, 1)), np.zeros(1), "last", None)
NETWORK_PARTS = {"readout_weights": np.ones((1, 2, 1)), "intercept": np.zeros(1)}
W = np.array([0.5, 0.25])
ACTIVE = np.array([0, 1])
LAYER_PARTS = {
    "weights": np.ones((2, 3)),
    "leak": np.full(3, 0.5),
    "threshold": np.ones(3),
    "reset": np.ones(3),
    "bias": np.zeros(3),
    "recurrent": np.ones((3, 3)),
}
ROWS = {"row_weights": ONES}
LOSS = {"loss": "squared"}


def program(lif, atoms):
    return lambda y, **options: lif.program(atoms, y, "squared", **{"strength": 0.1} | options)


def network(kind, layer):
    return lambda **parts: kind([[layer]], hidden=(2,), readout="last", classes=None, **parts)


def warm(_):
    return lambda **part: bd.solve(PROGRAM, warm_start=replace(SOLUTION, **part))


# name of the public callable: the call, and arguments that it accepts
CALLS = {
    "ADMMSplitting": (bd.ADMMSplitting, dict.fromkeys(("leak", "threshold", "rho"), 0.5)
        | dict.fromkeys(("spike_rho", "weight_decay"), 0.5) | {"hidden": (3,), "acceleration": 1}),
    "ADMMSplitting.fit": (bd.ADMMSplitting((2,)).fit, {"X": X, "y": Y, "sweeps": 1, "warm_up": 1,
        "batch": 3, "seed": 1, "time_limit": 9.0}),
    "BinaryMatrix": (bd.BinaryMatrix, {"words": D.words, "n_rows": 6}),
    "BinaryMatrix.from_dense": (bd.BinaryMatrix.from_dense, {"dense": DENSE}),
    "BinaryMatrix.take": (D.take, {"columns": ACTIVE}),
    "BinaryMatrix.keep_rows": (D.keep_rows, {"rows": ONES > 0}),
    "BinaryMatrix.matvec": (D.matvec, {"weights": W}),
    "BinaryMatrix.rmatvec": (D.rmatvec, {"rows": Y}),
    "BinaryMatrix.matvec_exact": (D.matvec_exact, {"weights": ACTIVE}),
    "BinaryMatrix.rmatvec_exact": (D.rmatvec_exact, {"rows": np.arange(6)}),
    "BinaryMatrix.rmatvec_within": (D.rmatvec_within, {"rows": Y, "accuracy": 1e-3}),
    "BinaryMatrix.column_dot": (D.column_dot, {"column": 0, "rows": Y}),
    "BinaryMatrix.price": (D.price, {"duals": Y, "columns": ACTIVE, "width": 1}),
    "BinaryMatrix.gram": (D.gram, {"columns": ACTIVE, "others": ACTIVE}),
    "BinaryMatrix.weighted_gram": (D.weighted_gram, {"weights": np.arange(6)}),
    "Budget": (bd.Budget, {"patterns": 5, "seconds": 1.0, "nbytes": 10**9}),
    "ConvexProgram": (lambda **parts: bd.ConvexProgram(D, loss="squared", **parts),
        {"target": Y, "strength": 0.1, **ROWS}),
    "ConvexProgram.with_strength": (PROGRAM.with_strength, {"strength": 0.1}),
    "ConvexProgram.take": (PROGRAM.take, {"columns": ACTIVE}),
    "ConvexProgram.checked_answer": (PROGRAM.checked_answer, {"weights": W, "intercept": [0.5]}),
    "ConvexProgram.primal": (PROGRAM.primal, {"weights": W, "intercept": [0.5]}),
    "ConvexProgram.dual": (PROGRAM.dual, {"V": Y - Y.mean()}),
    "ConvexProgram.price": (lambda columns: PROGRAM.price(Y[:, None], columns),
        {"columns": ACTIVE}),
    "DenseMatrix": (bd.DenseMatrix, {"array": DENSE}),
    "DenseMatrix.take": (REAL.take, {"columns": ACTIVE}),
    "DenseMatrix.matvec": (REAL.matvec, {"weights": W}),
    "DenseMatrix.rmatvec": (REAL.rmatvec, {"rows": Y}),
    "DenseMatrix.rmatvec_within": (REAL.rmatvec_within, {"rows": Y, "accuracy": 1e-3}),
    "DenseMatrix.price": (REAL.price, {"duals": Y, "columns": ACTIVE, "width": 1}),
    "DenseMatrix.weighted_gram": (REAL.weighted_gram, {"weights": ONES}),
    "Dual.at": (LIF.dual(ATOMS, Y, strength=0.1).at, {"V": Y}),
    "Dual.make_feasible": (LIF.dual(ATOMS, Y, strength=0.1).make_feasible, {"V": Y}),
    "Feedforward": (bd.Feedforward, {"hidden": (3,), "p": 2.0}),
    "Feedforward.complete": (bd.Feedforward((1,)).complete, {"X": POINTS}),
    "Feedforward.sequences": (UNITS.sequences, {"X": POINTS}),
    "GivenWitnesses.from_arrays": (lambda **parts: bd.GivenWitnesses.from_arrays(
        **{name: [value] for name, value in parts.items()}), LAYER_PARTS),
    "Huber": (bd.Huber, {"delta": 1.0}),
    "InputGrid": (bd.InputGrid, {"exponents": np.arange(2), "offsets": np.zeros(2), "unit": 0}),
    "InputGrid.fit": (bd.InputGrid.fit, {"X": X}),
    "InputGrid.take": (LIF.input_grid(X).take, {"X": X}),
    "NetworkClass.input_grid": (LIF.input_grid, {"X": X}),
    "NetworkClass.on_grid": (lambda X: LIF.on_grid(X, None), {"X": X}),
    "Feedforward.input_grid": (UNITS.input_grid, {"X": POINTS}),
    "Network.spikes_within_rounding": (NETWORK.spikes_within_rounding, {"X": X}),
    "LIF": (bd.LIF, {"hidden": (3,), "leak": (0.5, 0.6), "threshold": 1.0, "reset": 0.5, "p": 2.0}),
    "LIF.complete": (bd.LIF((1,), leak=0.5).complete, {"X": X[:3, :2]}),
    "Layer": (bd.Layer, LAYER_PARTS),
    "Layer.build": (bd.Layer.build, LAYER_PARTS),
    "Layer.take": (LAYER.take, {"neurons": ACTIVE}),
    "Network": (network(bd.Network, LAYER), NETWORK_PARTS | {"inputs": 2, "readout_leak": 0.5}),
    "ThresholdNetwork": (network(bd.ThresholdNetwork, UNIT),
        NETWORK_PARTS | {"inputs": 2, "readout_leak": 0.0}),
    "Network.rebuild": (lambda **parts: bd.SpikingNetwork.rebuild(ATOMS, **parts),
        {"weights": np.ones((ATOMS.atoms.shape[1], 1)), "intercept": np.zeros(1)}),
    "Network.with_readout": (NETWORK.with_readout,
        {"weights": np.ones((2, 1)), "intercept": np.zeros(1)}),
    "Network.raster": (NETWORK.raster, {"x": X[0]}),
    "Network.membrane_plot": (NETWORK.membrane_plot, {"x": X[0], "subnetwork": 0}),
    **{f"Network.{name}": (getattr(NETWORK, name), {"X": X}) for name in ("simulate", "membranes",
        "rates", "decision_function", "traces", "predict", "synaptic_operations")},
    "ThresholdNetwork.predict": (FLAT.predict, {"X": POINTS}),
    "NetworkClass.sample": (LIF.sample, {"X": X, "subnetworks": 3, "seed": 1}),
    "Feedforward.sample": (UNITS.sample, {"X": POINTS, "subnetworks": 3, "seed": 1}),
    "NetworkClass.complete": (bd.LIF((1,), leak=0.5).complete, {"X": X[:3, :2]}),
    "NetworkClass.sequences": (LIF.sequences, {"X": X}),
    "NetworkClass.program": (program(LIF, ATOMS), {"y": Y, "strength": 0.1, **ROWS}),
    "NetworkClass.program of labels": (program(LIF, ATOMS), {"y": Y > 0}),
    "NetworkClass.program of every step": (program(EVERY, EVERY_ATOMS),
        {"y": Y, "step_weights": np.ones(4)}),
    "NetworkClass.program of a decay": (lambda **parts: LIF.program(ATOMS, Y, **parts),
        {"beta": 0.1}),
    "NetworkClass.bidual": (lambda y: LIF.bidual(ATOMS, y, strength=0.1), {"y": Y}),
    "NetworkClass.dual": (lambda y: LIF.dual(ATOMS, y, strength=0.1), {"y": Y}),
    "NetworkClass.primal": (LIF.primal, {"X": X, "y": Y, "beta": 0.1, **ROWS}),
    "NetworkClass.primal of every step": (EVERY.primal,
        {"X": X, "y": Y, "beta": 0.1, "step_weights": np.ones(4)}),
    "Feedforward.primal": (UNITS.primal, {"X": POINTS, "y": Y, "beta": 0.1}),
    "NetworkClass.heads": (lambda y, weights, strength: LIF.heads(ATOMS, {"a": y}, "squared",
        {"a": weights}, strength=strength), {"y": Y, "weights": 2.0, "strength": 0.1}),
    "Neuron": (bd.Neuron, {"leak": (0.5, 0.6), "threshold": (0.5, 1.0), "reset": 0.5}),
    "Recurrent": (bd.Recurrent, {"hidden": (3,), "p": 2.0}),
    "Recurrent.complete": (bd.Recurrent((1,)).complete, {"X": BITS}),
    "SampledWitnesses": (lambda **parts: bd.SampledWitnesses(neuron=LIF.neuron, **parts),
        {"inputs": 2, "hidden": (3,), "subnetworks": 2, "seed": 0}),
    "SpikeDictionary.sample": (lambda X: bd.SpikeDictionary.sample(X, BANK), {"X": X}),
    "SpikeDictionary.build": (lambda X: bd.SpikeDictionary.build("never", X, BANK), {"X": X}),
    "SpikeDictionary.verify": (ATOMS.verify, {"X": X}),
    "SpikeDictionary.for_network": (ATOMS.for_network, {"columns": ACTIVE}),
    "SpikeDictionary.take": (ATOMS.take, {"columns": ACTIVE}),
    "certify": (lambda **parts: bd.certify(PROGRAM, **{"weights": W} | parts),
        {"weights": W, "intercept": [0.5], "dual_point": Y - Y.mean()}),
    "certify by a solve": (lambda **parts: bd.certify(PROGRAM, weights=W, dual="solve", **parts),
        {"time_limit": 9.0}),
    "complete_arrangement": (bd.complete_arrangement, {"target": Y, "strength": 0.1, **ROWS}),
    "complete_lif": (bd.complete_lif, {"X": X[:3, :2], "leak": 0.5}),
    "complete_thresholds": (bd.complete_thresholds, {"X": POINTS}),
    "completeness": (lambda X: bd.completeness(bd.ConvexProgram(
        bd.complete_thresholds(POINTS).atoms, Y, strength=0.1), X), {"X": POINTS}),
    "count_lif_trajectories": (bd.count_lif_trajectories, {"X": X[:3, :2], "leak": 0.5}),
    "count_threshold_patterns": (bd.count_threshold_patterns, {"X": POINTS}),
    "deep_patterns": (bd.deep_patterns, {"X": np.array([[0, 1], [1, 1]]), "hidden": (1,)}),
    "grow": (lambda X, y, **options: bd.grow(LIF, X, y, **{"strength": 0.1, "pricing": "search",
        "rounds": 1} | options), {"X": X, "y": Y, "strength": 0.1, "atoms": 3, "gap": 0.5,
        "per_round": 3, "most_atoms": 9, "rounds": 1, "time_limit": 9.0, "seed": 1, **ROWS}),
    "health": (lambda **parts: bd.health(witnesses=BANK, **parts), {"X": X, "subnetworks": 2}),
    "lif_trajectories": (bd.lif_trajectories, {"X": X[:3, :2], "leak": 0.5}),
    "path": (lambda **parts: bd.path(PROGRAM, **parts),
        {"strengths": [0.2, 0.1], "gap": 0.5, "time_limit": 9.0}),
    "readout_program": (lambda **parts: bd.readout_program(NETWORK, **parts),
        {"X": X, "y": Y, "strength": 0.1, **ROWS}),
    "recurrent_patterns": (bd.recurrent_patterns, {"X": BITS, "hidden": (1,)}),
    "solve": (lambda **parts: bd.solve(PROGRAM, **parts), {"gap": 0.5, "time_limit": 9.0}),
    "solve from a warm start": (warm("weights"), {"weights": SOLUTION.weights,
        "intercept": SOLUTION.intercept, "dual_point": SOLUTION.dual_point}),
    "tasks.addition": (bd.tasks.addition, {"base": 2, "digits": 2, "samples": 12, "seed": 0}),
    "tasks.first_last_xor": (bd.tasks.first_last_xor, {"steps": 5, "samples": 8, "seed": 0}),
    "threshold_patterns": (bd.threshold_patterns, {"X": POINTS}),
    "use_threads": (lambda count: bd.use_threads(count).__enter__(), {"count": 1}),
}  # fmt: skip


def objects(good, entry):
    array = np.array(good, dtype=object)
    array.reshape(-1)[0] = entry
    return array


ARRAYS = {
    "masked": (lambda a: np.ma.array(a, mask=np.arange(a.size).reshape(a.shape) == 0), "mask"),
    "all masked": (lambda a: np.ma.array(a, mask=True), "mask"),
    "masked parts": (lambda a: [np.ma.array([part], mask=True)[0] for part in a], "mask"),
    "masked parts of a deque": (lambda a: deque(np.ma.array(a, mask=True)), "mask"),
    "masked parts of any sequence": (lambda a: UserList(np.ma.array(a, mask=True)), "mask"),
    "a masked array in a tuple": (lambda a: (UserList([np.ma.array(a, mask=True)]),), "mask"),
    "complex": (lambda a: a + 0j, "complex"),
    "complex64": (lambda a: a.astype(np.complex64), "complex"),
    "complex objects": (lambda a: objects(a, 1j), "complex"),
    "a complex number of NumPy": (lambda a: objects(a, np.complex64(1)), "complex"),
    "dates": (lambda a: a.astype("i8").astype("M8[s]"), "date"),
    "time spans": (lambda a: a.astype("i8").astype("m8[s]"), "date"),
    "date objects": (lambda a: objects(a, date(2020, 1, 1)), "date"),
    "time span objects": (lambda a: objects(a, np.timedelta64(1, "s")), "date"),
    "sparse": (lambda a: sparse.csr_array(a.reshape(len(a), -1).astype(float)), "sparse"),
    "sparse matrix": (lambda a: sparse.coo_matrix(a.reshape(len(a), -1).astype(float)), "sparse"),
}
NUMBERS = {
    "complex": (1j, "complex"),
    "complex64": (np.complex64(1), "complex"),
    "time span": (np.timedelta64(1, "s"), "date"),
    "time span of Python": (timedelta(1), "date"),
    "date": (np.datetime64("2020-01-01"), "date"),
    "masked": (np.ma.masked, "mask"),
}
CASES = [(call, name) for call, (_, good) in CALLS.items() for name in good]


def named(call, name, bad, word):
    """Call with one bad argument; its error must name the argument and say the word."""
    function, good = CALLS[call]
    with pytest.raises((ValueError, TypeError)) as caught:
        function(**good | {name: bad})
    text = str(caught.value)
    assert text.startswith((f"{name}:", f"warm_start.{name}:")), (call, name, text)
    assert word in text.lower(), (call, name, text)


@pytest.mark.parametrize(("call", "name"), CASES, ids=lambda value: value)
@pytest.mark.filterwarnings("error")
def test_what_is_no_real_number_is_refused_by_name(call, name):
    good = CALLS[call][1][name]
    if isinstance(good, int | float):
        bad = [(value, word) for value, word in NUMBERS.values()]
    elif name == "hidden":
        bad = [((value,), word) for value, word in NUMBERS.values()]
    else:
        bad = [(make(np.asarray(good)), word) for make, word in ARRAYS.values()]
    for value, word in bad:
        named(call, name, value, word)


def public_calls():
    """Yield the names and functions of ``bidual`` and the methods of its classes."""
    for name in bd.__all__:
        found = getattr(bd, name)
        if inspect.isfunction(found):
            yield name, found
        elif inspect.isclass(found) and not issubclass(found, Exception):
            yield name, found
            for method, function in vars(found).items():
                function = getattr(function, "__func__", function)  # of a class method
                if inspect.isfunction(function) and not method.startswith("_"):
                    yield f"{name}.{method}", function


def test_the_calls_hold_every_public_argument_that_is_an_array():
    held = {(call.split(" ")[0], name) for call, name in CASES} | {
        ("NetworkClass.heads", "targets")
    }
    wanted = {
        (call, name)
        for call, function in public_calls()
        for name, parameter in inspect.signature(function).parameters.items()
        if "ArrayLike" in str(parameter.annotation) or "_SupportsArray" in str(parameter.annotation)
    }
    assert len(wanted) > 90
    assert wanted - held == set()


def test_the_calls_hold_every_number_of_the_calls_that_they_hold():
    held = {(call.split(" ")[0], name) for call, name in CASES}
    functions = dict(public_calls())
    wanted = {
        (call, name)
        for call, _ in held
        if call in functions
        for name, parameter in inspect.signature(functions[call]).parameters.items()
        if parameter.annotation in (float, int, float | None, int | None)
    }
    assert len(wanted) > 40
    others = {("NetworkClass.heads", "beta"), ("complete_arrangement", "strength")}
    assert wanted - held - others == set()


# name of the public callable: the call, and its arguments that are flags
EXACT = bd.certify(PROGRAM, SOLUTION, exact=True)
FLAGS = {
    "ADMMSplitting": (lambda **flag: bd.ADMMSplitting((2,), **flag), "adaptive"),
    "BinaryMatrix.matvec_exact": (lambda **flag: D.matvec_exact([1, 2], **flag), "pairs"),
    "BinaryMatrix.rmatvec_exact": (lambda **flag: D.rmatvec_exact(range(6), **flag), "pairs"),
    "ConvexProgram": (lambda **flag: bd.ConvexProgram(D, Y, **flag), "intercept"),
    "ConvexProgram.cones": (PROGRAM.cones, "quadratic"),
    "ConvexProgram.to_conic": (PROGRAM.to_conic, "quadratic"),
    "ExactCertificate.save": (lambda **flag: EXACT.save("never", **flag), "complete"),
    "Feedforward": (lambda **flag: bd.Feedforward((2,), **flag), "bias"),
    "GivenWitnesses.from_arrays": (lambda **flag: bd.GivenWitnesses.from_arrays(
        [np.ones((2, 3))], 0.5, 1.0, **flag), "strict"),
    "InputGrid.fit": (lambda **flag: bd.InputGrid.fit(X, **flag), "scaled centred"),
    "InputGrid.take": (lambda **flag: LIF.input_grid(X).take(X, **flag), "fitted"),
    "InputGrid.take_first": (lambda **flag: LIF.input_grid(X).take_first(X, **flag), "fitted"),
    "Layer": (lambda **flag: bd.Layer(**LAYER_PARTS, **flag), "hard strict"),
    "Layer.build": (lambda **flag: bd.Layer.build([[1.0]], 0.5, 0.5, **flag), "strict"),
    "NetworkClass.primal": (lambda **flag: LIF.primal(X, Y, beta=0.1, **flag), "intercept"),
    "NetworkClass.program": (lambda **flag: program(LIF, ATOMS)(Y, **flag), "intercept"),
    "Neuron": (lambda **flag: bd.Neuron(0.5, 1.0, **flag), "strict"),
    "SampledWitnesses": (lambda **flag: bd.SampledWitnesses(
        2, (3,), 2, 0, LIF.neuron, **flag),
        "recurrent bias"),
    "certify": (lambda **flag: bd.certify(PROGRAM, weights=W, **flag), "exact"),
    "readout_program": (lambda **flag: bd.readout_program(
        NETWORK, X, Y, strength=0.1, **flag), "intercept"),
}  # fmt: skip
WRITERS = {
    "Huber.epigraph",
    "Loss.epigraph",
    "Loss.move_inside",
}  # which users write, and bidual calls
RESULTS = {"ConicForm", "Primal", "SpikeDictionary", "Sweep"}  # which bidual fills in
CASES_OF_FLAGS = [(call, name) for call, (_, names) in FLAGS.items() for name in names.split()]


@pytest.mark.parametrize(("call", "name"), CASES_OF_FLAGS, ids=str)
@pytest.mark.parametrize(
    "value",
    ["no", 0, 1, 0.3, {True}, np.array([True]), np.int8(1), np.ma.masked, {"yes"}],
    ids=repr,
)
def test_a_flag_is_true_or_false(call, name, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=rf"^{name}: expected (True or False|.*entries)"):
        FLAGS[call][0](**{name: value})
    assert not any(tmp_path.iterdir())


def test_the_flags_are_those_of_every_public_call():
    wanted = {
        (call, name)
        for call, function in public_calls()
        for name, parameter in inspect.signature(function).parameters.items()
        if "bool" in re.findall(r"\w+", inspect.formatannotation(parameter.annotation))
        and call not in WRITERS | RESULTS
    }
    assert len(wanted) > 20
    assert wanted == set(CASES_OF_FLAGS)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.slow
def test_the_calls_accept_their_arguments(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, good = CALLS[call]
    function(**good)


@pytest.mark.filterwarnings("error")
def test_a_masked_array_without_masked_entries_is_its_data():
    masked = np.ma.array(DENSE, mask=False)
    assert bd.DenseMatrix(masked).to_dense().tolist() == DENSE.tolist()
    assert bd.BinaryMatrix.from_dense(masked).to_dense().tolist() == DENSE.tolist()
    found = bd.ConvexProgram(D, np.ma.array(Y), row_weights=np.ma.array(ONES, mask=False))
    assert found.target.ravel().tolist() == Y.tolist()
    assert NETWORK.predict(np.ma.array(X)).tolist() == NETWORK.predict(X).tolist()


def test_arrays_of_float64_are_not_copied():
    for array in (DENSE, DENSE.T, DENSE[::2], np.broadcast_to(1.0, (3, 4))):
        assert np.shares_memory(real_array("a", array), array)


# conversions that drop masks and imaginary parts, and turn dates into numbers
CONVERSIONS = {"array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray", "require"}
CONVERSIONS |= {"atleast_1d", "atleast_2d", "expand_dims", "append", "fromiter", "float64"}
WRITTEN = rf"np\.({'|'.join(CONVERSIONS)})\("


def test_only_one_module_turns_a_caller_s_value_into_an_array():
    wrong, conversions = [], 0
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        source = path.read_text()
        if path == ROOT / "dictionaries" / "validation.py" or not re.search(WRITTEN, source):
            continue
        for function in ast.walk(ast.parse(source)):
            if not isinstance(function, ast.FunctionDef):
                continue
            every = function.args.args + function.args.kwonlyargs + function.args.posonlyargs
            given = {
                a.arg for a in every if a.annotation and "ArrayLike" in ast.unparse(a.annotation)
            }
            for call in ast.walk(function):
                if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
                    continue
                if getattr(call.func.value, "id", "") != "np" or call.func.attr not in CONVERSIONS:
                    continue
                conversions += 1
                first = ast.unparse(call.args[0]) if call.args else ""
                of_caller = first in given or first.startswith("getattr(")
                if of_caller or call.func.attr in ("asarray", "asanyarray"):
                    wrong.append(f"{path.relative_to(ROOT)}:{call.lineno}: {ast.unparse(call)}")
    assert conversions > 30
    assert not wrong, "use the functions of dictionaries/validation.py"
