"""The command line: what it prints, what it writes, and how it takes bad input."""

import builtins
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import bidual as bd
from bidual.certificates import checker
from bidual.certificates import completeness as completeness_checker
from bidual.certificates.difference import difference
from bidual.cli.compare import Job
from bidual.cli.main import COMMANDS, main

from covering import slow
from programs import random_program

SMALL = ["compare", "--subnetworks", "2"]


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    """One small comparison over every backend: exit code, printed text, folder."""
    folder = tmp_path_factory.mktemp("compare") / "new" / "folder"
    command = [sys.executable, "-m", "bidual", *SMALL, "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder.parents[1])
    return done, folder


def test_compare_succeeds_and_names_every_backend(comparison):
    done, _ = comparison
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    head = next(k for k, line in enumerate(lines) if line.startswith("backend"))
    assert [line.split()[0] for line in lines[head + 1 : head + 1 + len(bd.BACKENDS)]] == list(
        bd.BACKENDS
    )
    # nobody watches a pipe, so there is no live line in it
    assert done.stderr == ""


def test_compare_json_has_the_program_and_a_row_for_each_backend(comparison):
    _, folder = comparison
    results = json.loads((folder / "compare.json").read_text())
    program, rows = results["program"], results["rows"]
    assert program["rows"] == 1437
    assert program["outputs"] == 10
    assert program["strength"] == pytest.approx(0.1 * program["lambda_max"], rel=1e-12)
    assert [row["backend"] for row in rows] == list(bd.BACKENDS)
    solved = [row for row in rows if row["primal"] is not None]
    assert {row["backend"] for row in solved} >= {"lasso", "admm", "sklearn"}
    for row in solved:
        gap = row["primal"] - row["dual"]
        assert gap == pytest.approx(row["relative_gap"] * program["reference"], abs=1e-12)
        assert 0 < row["train_accuracy"] <= 1
        assert row["status"] == "certified"
        assert min(gap for _, gap in row["history"]) <= program["asked_gap"]
        for other in solved:
            assert row["primal"] >= other["dual"] - 1e-12


def test_compare_tells_why_a_backend_could_not_run(comparison):
    done, folder = comparison
    if bd.BACKENDS["mosek"].available() is None:
        pytest.skip("a MOSEK licence is installed here")
    rows = json.loads((folder / "compare.json").read_text())["rows"]
    (row,) = (row for row in rows if row["backend"] == "mosek")
    assert row["status"] == "unavailable"
    assert row["primal"] is None
    assert row["message"] in done.stdout


def test_compare_draws_a_png_and_leaves_nothing_else(comparison):
    pytest.importorskip("matplotlib", reason="the picture needs matplotlib")
    _, folder = comparison
    assert (folder / "compare.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert sorted(path.name for path in folder.iterdir()) == [
        "compare.cert",
        "compare.json",
        "compare.png",
    ]


@pytest.mark.slow
def test_same_seed_gives_the_same_answers(tmp_path, comparison):
    _, folder = comparison
    assert main([*SMALL, "--backends", "newton", "--out", str(tmp_path)]) == 0
    first = json.loads((folder / "compare.json").read_text())
    again = json.loads((tmp_path / "compare.json").read_text())
    assert first["program"] == again["program"]
    for name in ("primal", "dual", "active_atoms", "train_accuracy", "test_accuracy"):
        assert first["rows"][0][name] == again["rows"][0][name]


def test_out_of_time_keeps_the_row_with_its_gap(tmp_path, capsys):
    arguments = ["--backends", "admm,lasso", "--time-limit", "1e-6", "--gap", "1e-12"]
    assert main([*SMALL, *arguments, "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "compare.json").read_text())["rows"]
    assert [row["status"] for row in rows] == ["time limit", "time limit"]
    assert all(row["relative_gap"] > 1e-12 for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["hinge", *slow("logistic")])
def test_refused_programs_are_told_in_the_row(tmp_path, capsys, loss):
    arguments = ["--loss", loss, "--backends", "lasso,osqp,admm", "--gap", "1e-2"]
    assert main([*SMALL, *arguments, "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "compare.json").read_text())["rows"]
    refused = "lasso" if loss == "hinge" else "osqp"
    assert [row["backend"] for row in rows if row["status"] == "not accepted"] == [refused]
    assert loss in capsys.readouterr().out


@pytest.mark.slow
def test_contradiction_is_an_error(tmp_path, capsys, monkeypatch):
    # a float bound above somebody's answer would be a bug, and must not pass quietly
    solve = bd.solve

    def lying(program, name, *rest):
        solution = solve(program, name, *rest)
        if name == "admm":
            object.__setattr__(solution.certificate, "dual", 2 * solution.certificate.primal)
        return solution

    monkeypatch.setattr("bidual.cli.compare.solve", lying)
    assert main([*SMALL, "--backends", "lasso,admm", "--out", str(tmp_path)]) == 1
    assert "CONTRADICTION" in capsys.readouterr().out


def test_ctrl_c_leaves_the_other_backends_out_and_writes_what_was_found(
    tmp_path, capsys, monkeypatch
):
    def interrupted(program, name, *rest):
        def stop(progress):
            raise KeyboardInterrupt

        return bd.solve(program, name, 1e-300, callback=stop)

    monkeypatch.setattr("bidual.cli.compare.solve", interrupted)
    monkeypatch.setattr("bidual.cli.compare._warm_up", lambda job: None)
    assert main([*SMALL, "--backends", "lasso,admm", "--out", str(tmp_path)]) == 130
    rows = json.loads((tmp_path / "compare.json").read_text())["rows"]
    assert [(row["backend"], row["status"]) for row in rows] == [("lasso", "interrupted")]


def test_no_answer_at_all_is_an_error(tmp_path, capsys):
    arguments = ["--share", "0", "--backends", "lasso,sklearn,lasso"]
    assert main([*SMALL, *arguments, "--out", str(tmp_path)]) == 1
    assert "no backend could solve" in capsys.readouterr().out
    # named twice, tried once
    rows = json.loads((tmp_path / "compare.json").read_text())["rows"]
    assert [row["backend"] for row in rows] == ["lasso", "sklearn"]


@pytest.mark.slow
def test_endless_time_limit_is_written_as_null(tmp_path, capsys):
    arguments = ["--time-limit", "inf", "--backends", "admm", "--out", str(tmp_path)]
    assert main([*SMALL, *arguments]) == 0
    assert json.loads((tmp_path / "compare.json").read_text())["program"]["time_limit"] is None


def test_demo_is_compare_at_its_defaults(monkeypatch, tmp_path, capsys):
    jobs = []
    monkeypatch.setattr("bidual.cli.demo.run_job", lambda job: jobs.append(job) or 0)
    assert main(["demo", "--out", str(tmp_path)]) == 0
    monkeypatch.setattr("bidual.cli.compare.run_job", lambda job: jobs.append(job) or 0)
    assert main(["compare", "--out", str(tmp_path)]) == 0
    assert jobs == [Job(out=str(tmp_path))] * 2
    job = jobs[0]
    assert (job.task, job.loss, job.share, job.subnetworks) == ("digits", "squared", 0.1, 16)
    assert job.backends == tuple(bd.BACKENDS)


def test_backends_lists_each_with_what_it_takes(capsys):
    assert main(["backends"]) == 0
    printed = capsys.readouterr().out
    for name, backend in bd.BACKENDS.items():
        (line,) = re.findall(rf"^{name} .*$", printed, re.MULTILINE)
        assert line.split(maxsplit=2) == [
            name,
            backend.version or "-",
            backend.available() or "yes",
        ]
    head, *rows = re.findall(r"^loss.*\n(?:.+\n)+", printed, re.MULTILINE)[0].splitlines()
    assert head.split() == ["loss", "+", "penalty", *bd.BACKENDS]
    assert len(rows) == len(bd.LOSSES) * len(bd.PENALTIES)
    words = {(True, True): "yes", (True, False): "one", (False, False): "-"}
    for row in rows:
        loss, _, penalty, *cells = row.split()
        for name, cell in zip(bd.BACKENDS, cells, strict=True):
            counts = (3, 3) if loss == "softmax" else (1, 3)
            taken = tuple(
                all(
                    bd.BACKENDS[name].accepts(without_row_weights(loss, b, outputs, penalty))
                    is None
                    for b in (False, True)
                )
                for outputs in counts
            )
            assert cell == words[taken]
    # a refusal has its reason
    for name in bd.BACKENDS:
        if any("-" in row.split()[3:] for row in rows) and f"\n{name}: " not in printed:
            column = 3 + list(bd.BACKENDS).index(name)
            assert all(row.split()[column] == "yes" for row in rows)


def without_row_weights(loss, intercept, outputs, penalty):
    program = random_program(loss, intercept, outputs, penalty=penalty)
    return bd.ConvexProgram(
        program.design, program.target, loss, 0.1, intercept=intercept, penalty=penalty
    )


def test_the_grid_of_the_page_on_backends_is_the_one_that_is_printed(capsys):
    page = Path(bd.__file__).parent / "docs" / "backends.md"
    if not page.exists():
        pytest.skip("needs the checkout, not an installed wheel")
    assert main(["backends"]) == 0
    grid = re.findall(r"^loss.*\n(?:.+\n)+", capsys.readouterr().out, re.MULTILINE)[0]
    assert grid in page.read_text()


@pytest.mark.parametrize("penalty", slow("l1", "group"))
def test_compare_trains_a_softmax_readout(tmp_path, capsys, penalty):
    arguments = ["--loss", "softmax", "--penalty", penalty, "--backends", "admm,lasso"]
    assert main([*SMALL, *arguments, "--gap", "1e-2", "--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "compare.json").read_text())
    assert results["program"]["penalty"] == penalty
    solved, refused = results["rows"]
    assert refused["status"] == "not accepted"
    assert solved["relative_gap"] <= 1e-2
    assert solved["test_accuracy"] > 0.5
    assert min(solved[f"{part}_seconds"] for part in ("compile", "solve", "recover")) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "cifar"], "task: expected one of .*digits.*cifar"),
        (["--loss", "l2"], "loss: expected one of .*hinge.*logistic.*squared.*l2"),
        (["--penalty", "l0"], "penalty: expected one of .*group.*l1.*l0"),
        (["--backends", "lasso,gurobi"], "backends: expected names of .*lasso.*gurobi"),
        (["--backends", ","], "backends: expected at least one"),
        (["--share", "-0.1"], "share: .*-0.1"),
        (["--share", "nan"], "share: .*nan"),
        (["--gap", "0"], "gap"),
        (["--time-limit", "-1"], "time-limit"),
        (["--subnetworks", "0"], "subnetworks"),
        (["--seed", "-1"], "seed"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_folder(tmp_path, capsys, arguments, message):
    folder = tmp_path / "out"
    assert main(["compare", *arguments, "--out", str(folder)]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(rf"bidual: error: .*{message}.*\n", error)
    assert not folder.exists()


def test_output_folder_that_cannot_be_written_is_refused_before_work(tmp_path, capsys):
    occupied = tmp_path / "file"
    occupied.write_text("mine")
    assert main(["compare", "--out", str(occupied)]) == 2
    assert "out: expected a folder that can be written" in capsys.readouterr().err
    assert occupied.read_text() == "mine"


def test_every_command_has_help(capsys):
    for command in [[], *([name] for name in COMMANDS)]:
        with pytest.raises(SystemExit) as stopped:
            main([*command, "--help"])
        assert stopped.value.code == 0
        assert len(capsys.readouterr().out) > 200


def test_compare_proves_its_best_answer_in_a_file_that_verify_takes(comparison, capsys):
    done, folder = comparison
    proof = folder / "compare.cert"
    assert f"bidual verify {proof}" in done.stdout
    assert main(["verify", str(proof)]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"proven   {proof}: gap at most ")
    assert told.count("\n") == 1


def test_verify_tells_a_line_a_file_and_fails_if_one_is_refused(comparison, tmp_path, capsys):
    _, folder = comparison
    good, missing, cut = folder / "compare.cert", tmp_path / "missing", tmp_path / "cut.cert"
    cut.write_bytes(good.read_bytes()[:-30])
    assert main(["verify", str(good), str(cut), str(missing), str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["proven", *["refused"] * 3]
    assert "not a readable certificate" in lines[1]
    assert all("expected an existing file" in line for line in lines[2:])


@pytest.mark.parametrize("loss", ["squared", "hinge"])
def test_certify_proves_weights_from_anywhere(tmp_path, capsys, monkeypatch, loss):
    monkeypatch.chdir(tmp_path)
    program = random_program(loss, True, outputs=2)
    solution = bd.solve(program, gap=1e-9)
    np.save("D.npy", program.design.to_dense())
    program.design.save("D.bits")
    for name, array in (
        ("y", program.target),
        ("a", program.row_weights),
        ("W", solution.weights),
        ("b", solution.intercept),
        ("V", solution.dual_point),
    ):
        np.save(f"{name}.npy", array)
    with_intercept = ["--row-weights", "a.npy", "--intercept", "b.npy", "--dual-point", "V.npy"]
    options = ["--loss", loss, "--strength", repr(program.strength), *with_intercept]
    for dictionary in ("D.npy", "D.bits"):
        assert (
            main(["certify", dictionary, "y.npy", "W.npy", *options, "--out", dictionary[2:]]) == 0
        )
    assert Path("npy").read_bytes() == Path("bits").read_bytes()
    proven = bd.certify(program, solution, exact=True)
    proven.save("ours.cert")
    assert Path("ours.cert").read_bytes() == Path("npy").read_bytes()
    assert proven.relative_gap <= 1.1e-9
    assert "bidual verify npy" in capsys.readouterr().out


def test_certify_finds_the_intercept_that_is_not_given(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = random_program("huber", True)
    np.save("D.npy", program.design.to_dense())
    np.save("y.npy", program.target)
    np.save("a.npy", program.row_weights)
    twice = bd.ConvexProgram(
        program.design, program.target, bd.Huber(2.0), 0.05, program.row_weights, True
    )
    np.save("W.npy", bd.solve(twice, gap=1e-10).weights)
    options = [
        "--loss",
        "huber",
        "--delta",
        "2",
        "--strength",
        "0.05",
        "--row-weights",
        "a.npy",
        "--intercept",
    ]
    assert main(["certify", "D.npy", "y.npy", "W.npy", *options]) == 0
    assert "huber (delta 2)" in capsys.readouterr().out
    proven = checker.check("answer.cert")
    assert proven.claims["gap"] < 1e-8 * proven.claims["reference"]


def test_certify_tells_bad_input_in_a_line_and_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("D.npy", np.eye(3))
    np.save("y.npy", np.ones(3))
    np.save("W.npy", np.ones(4))
    np.save("half.npy", np.full((3, 3), 0.5))
    np.save("complex.npy", np.ones(3, complex))
    Path("text.npy").write_text("no numbers")
    for names, words in (
        (("D.npy", "y.npy", "W.npy"), "weights: expected shape"),
        (("D.npy", "text.npy", "W.npy"), "text.npy: expected an .npy file"),
        (("D.npy", "W.npy", "W.npy"), "target: expected shape"),
        (("gone", "y.npy", "W.npy"), "gone"),
        (("half.npy", "y.npy", "W.npy"), "half.npy: expected zeros and ones only"),
        (("D.npy", "y.npy", "complex.npy"), "complex.npy: expected an .npy file of real numbers"),
        (
            ("D.npy", "y.npy", "W.npy", "--delta", "2"),
            "delta: can be given only together with --loss huber",
        ),
    ):
        assert main(["certify", *names, "--strength", "0.1"]) == 2
        assert words in capsys.readouterr().err
    assert not Path("answer.cert").exists()


def saved(program, **more):
    """Files of a program's data in this folder, as arguments of certify."""
    arrays = {"D": program.design.to_dense(), "y": program.target, "a": program.row_weights}
    for name, array in (arrays | more).items():
        np.save(f"{name}.npy", array)
    return ["certify", "D.npy", "y.npy", "W.npy", "--row-weights", "a.npy"]


def test_certify_leaves_an_earlier_file_unless_the_new_one_is_proven(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = random_program("squared")
    command = [*saved(program, W=np.zeros((15, 2))), "--strength", "0.1", "--out", "a.cert"]
    Path("a.cert").write_bytes(b"an earlier file")
    before = sorted(tmp_path.iterdir())

    def refused(path):
        raise checker.Refused("of this test")

    with monkeypatch.context() as patched:
        patched.setattr(checker, "check", refused)
        assert main(command) == 2
    assert "nothing was written" in capsys.readouterr().err
    assert Path("a.cert").read_bytes() == b"an earlier file"
    assert sorted(tmp_path.iterdir()) == before
    assert main(command) == 0
    checker.check("a.cert")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("way", ["name", "path", "link", "hard link"])
def test_certify_does_not_write_over_its_inputs(tmp_path, capsys, monkeypatch, way):
    monkeypatch.chdir(tmp_path)
    program = random_program("squared", True)
    best = bd.solve(program)
    parts = {"W": best.weights, "b": best.intercept, "V": best.dual_point}
    command = saved(program, **parts)
    command += ["--strength", "0.1", "--intercept", "b.npy", "--dual-point", "V.npy"]
    contents = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for name in "DyaWbV":
        out = f"{name}.npy"
        if way == "path":
            out = os.path.join("..", tmp_path.name, out)
        elif way != "name":
            out = f"{name} again"
            (os.symlink if way == "link" else os.link)(f"{name}.npy", out)
        assert main([*command, "--out", out]) == 2
        assert f"out: expected a file of its own, got the input {name}.npy" in (
            capsys.readouterr().err
        )
    assert {path: path.read_bytes() for path in contents} == contents


@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        ("hinge", [0, 1, 1, 0, 1]),
        ("hinge", [True, False, True, False, False]),
        ("logistic", ["no", "yes", "no", "no", "yes"]),
        ("softmax", [2, 0, 1, 1, 0]),
        ("softmax", ["b", "a", "c", "a", "b"]),
        ("squared", ["b", "a", "c", "a", "b"]),
        ("squared", [2, 0, 1, 1, 0]),
        ("squared_hinge", [3, 4, 5, 5, 3]),
    ],
)
def test_certify_takes_the_labels_that_verify_takes(tmp_path, capsys, monkeypatch, loss, labels):
    monkeypatch.chdir(tmp_path)
    labels = np.array(labels)
    classes = np.unique(labels)
    outputs = classes.size if classes.size > 2 or loss == "softmax" else 1
    np.save("D.npy", np.random.default_rng(0).random((5, 4)) < 0.5)
    np.save("y.npy", labels)
    np.save("W.npy", np.zeros((4, outputs)))
    assert main(["certify", "D.npy", "y.npy", "W.npy", "--loss", loss, "--strength", "0.1"]) == 0
    capsys.readouterr()
    assert main(["verify", "--against", "D.npy", "y.npy", "answer.cert"]) == 0
    assert "about the given D and Y" in capsys.readouterr().out
    proven = checker.check("answer.cert")
    wanted = np.where(labels[:, None] == (classes if outputs > 1 else classes[1:]), 1.0, -1.0)
    if loss == "softmax":
        wanted = np.maximum(wanted, 0.0)
    assert (np.array(proven.targets) == wanted * 2.0**proven.target_bits).all()


def test_certify_reads_whole_numbers_as_numbers_where_loss_and_weights_take_them(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    np.save("D.npy", np.eye(4))
    np.save("y.npy", np.array([0, 3, 1, 2]))
    np.save("W.npy", np.zeros(4))
    assert main(["certify", "D.npy", "y.npy", "W.npy", "--strength", "0.1"]) == 0
    assert np.ravel(checker.check("answer.cert").targets).tolist() == [0, 3, 1, 2]


def test_certify_says_where_an_intercept_took_the_weights(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments in (["D.npy", "y.npy", "--intercept", "W.npy"], ["D.npy", "--intercept", "y"]):
        with pytest.raises(SystemExit, match="2"):
            main(["certify", *arguments, "--strength", "1"])
        assert "write --intercept last, or --intercept=FILE" in capsys.readouterr().err


def test_certify_says_to_transpose_weights_of_scikit_learn(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for outputs in (1, 3):
        program = random_program("squared", outputs=outputs)
        command = [*saved(program, W=np.zeros((outputs, 15))), "--strength", "0.1"]
        assert main(command) == 2
        assert (
            f"weights: expected shape (15, {outputs}), got ({outputs}, 15); transpose it, as in "
            "coef_.T"
        ) in capsys.readouterr().err
        np.save("W.npy", np.zeros((outputs, 15)).T)
        assert main(command) == 0


def test_certify_by_a_solve_takes_a_time_limit_and_warns_in_its_own_words(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    program = random_program("absolute", True, penalty="group")
    W = 0.01 * np.ones((15, 2))
    y = program.design.matvec(W)  # all rows on kinks
    command = [*saved(program, W=W, y=y), "--loss", "absolute", "--penalty", "group"]
    command += ["--strength", "0.001", "--intercept"]
    assert main(command) == 0
    told = capsys.readouterr()
    if told.err:
        assert re.fullmatch(r"bidual: warning: weights: .* rows .*; --solve also .*\n", told.err)
    plain = checker.check("answer.cert").claims
    assert main([*command, "--solve", "--time-limit", "5"]) == 0
    assert not capsys.readouterr().err
    assert checker.check("answer.cert").claims["gap"] <= 2 * plain["gap"] + 1
    assert main([*command, "--time-limit", "5"]) == 2
    assert "time-limit: can be given only together with --solve" in capsys.readouterr().err
    assert main([*command, "--solve", "--time-limit", "0"]) == 2
    assert "expected seconds > 0" in capsys.readouterr().err


def test_verify_tells_the_class_of_a_complete_dictionary(tmp_path, capsys):
    X = [(*bits, 1) for bits in np.ndindex(2, 2, 2)]
    parity = [(-1.0) ** sum(bits[:3]) for bits in X]
    program = bd.ConvexProgram(bd.complete_thresholds(X).atoms, parity, "hinge", 0.01)
    proof, wrong = tmp_path / "parity.cert", tmp_path / "wrong.cert"
    certificate = bd.certify(program, bd.solve(program), exact=True)
    shown = bd.completeness(program, X)
    certificate.save(proof, shown)
    certificate.save(wrong, shown | {"h0": [1, 0, 0, 0]})
    assert main(["verify", str(proof), str(wrong)]) == 1
    proven, refused = capsys.readouterr().out.splitlines()
    assert "over every two-layer threshold network with neurons 1{x.h >= 0}" in proven
    assert refused == f"refused  {wrong}: 104 patterns are listed, 106 are counted"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A program of labels, its certificate, and its data in files of all kinds."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(8)
    D, labels = rng.random((13, 5)) < 0.5, rng.integers(0, 3, 13)
    program = bd.ConvexProgram(
        bd.BinaryMatrix.from_dense(D), np.eye(3)[labels], "softmax", 0.01, rng.random(13) + 0.1
    )
    bd.certify(program, bd.solve(program, gap=1e-3), exact=True).save("a.cert")
    program.design.save("D.bits")
    np.save("D.npy", D)
    np.save("whole.npy", np.asfortranarray(D.astype(np.int16)))
    np.savez_compressed("D.npz", D.astype(float))
    np.save("y.npy", program.target)
    np.save("labels.npy", labels)
    np.save("words.npy", np.array(["ant", "bee", "cat"])[labels])
    np.save("a.npy", program.row_weights)
    return D, labels, program


@pytest.mark.parametrize("design", ["D.npy", "whole.npy", "D.npz", "D.bits"])
@pytest.mark.parametrize("targets", ["y.npy", "labels.npy", "words.npy"])
def test_verify_tells_that_a_proof_is_about_your_data(data, capsys, design, targets):
    assert main(["verify", "--against", design, targets, "a.cert"]) == 0
    assert re.fullmatch(
        r"proven   a.cert: .*, about the given D and Y; row weights not compared\n",
        capsys.readouterr().out,
    )
    assert main(["verify", "a.cert", "--against", design, targets, "--row-weights", "a.npy"]) == 0
    assert capsys.readouterr().out.endswith(", about the given D, Y and row weights\n")


def test_verify_tells_what_differs_first(data, capsys):
    D, labels, program = data
    flipped, doubled = D.copy(), D.astype(int)
    flipped[11, 3] ^= True
    doubled[4, 2] = 2
    near = np.nextafter(program.row_weights, 1)
    near[:9] = program.row_weights[:9]
    other = labels.copy()
    other[6] = (labels[6] + 1) % 3
    for name, array in (
        ("flipped", flipped),
        ("doubled", doubled),
        ("turned", D.T),
        ("other", other),
        ("near", near),
        ("nan", np.full((13, 3), np.nan)),
    ):
        np.save(f"{name}.npy", array)
    value = int(D[11, 3])
    output = min(labels[6], other[6])
    for arguments, words in (
        (["flipped.npy", "y.npy"], rf"design: {value} in the file, {1 - value} here, .*11, atom 3"),
        (["doubled.npy", "y.npy"], r"design: 0 or 1 in the file, 2 here, at row 4, atom 2"),
        (["turned.npy", "y.npy"], r"design: shape \(13, 5\) in the file, \(5, 13\) here"),
        (["D.npy", "other.npy"], rf"targets: . in the file, . here, at row 6, output {output}"),
        (["D.npy", "nan.npy"], r"targets: finite, of shape \(13, 3\) in the file, not so here, .*"),
        (["D.npy", "a.npy"], r"targets: finite, of shape \(13, 3\) in the file, not so here, .*"),
        (["D.npy", "y.npy", "--row-weights", "near.npy"], r"row weights: .* here, at row 9"),
        (["D.npy", "y.npy", "--row-weights", "nan.npy"], r"row weights: shape \(13,\) in .*"),
    ):
        assert main(["verify", "a.cert", "--against", *arguments]) == 1
        assert re.fullmatch(rf"differs  a.cert: {words}\n", capsys.readouterr().out)
    # what is no proof is not compared
    Path("bad.cert").write_bytes(Path("a.cert").read_bytes()[:-1])
    assert main(["verify", "bad.cert", "--against", "turned.npy", "y.npy"]) == 1
    assert capsys.readouterr().out.startswith("refused  bad.cert: ")


def test_numbers_that_float64_rounds_are_others_than_those_of_a_file(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    D, y = np.array([[1, 0], [1, 1]]), np.array([2**53, 1])
    program = bd.ConvexProgram(bd.BinaryMatrix.from_dense(D), y, strength=0.1)
    bd.certify(program, bd.solve(program), exact=True).save("a.cert")
    np.save("D.npy", D)
    np.save("a.npy", program.row_weights)
    one, little = np.array([1, 0]), np.array([0, 2.0**-60])
    for numbers, done in ((y, 0), (y + one, 1), (y.astype(np.longdouble) + little, 1)):
        np.save("y.npy", numbers)
        assert main(["verify", "a.cert", "--against", "D.npy", "y.npy"]) == done
        assert ("targets: numbers of float64 in the file" in capsys.readouterr().out) == done
    np.save("y.npy", y)
    np.save("a.npy", program.row_weights.astype(np.longdouble) + little)
    assert main(["verify", "a.cert", "--against", "D.npy", "y.npy", "--row-weights", "a.npy"]) == 1
    assert "row weights: numbers of float64 in the file" in capsys.readouterr().out


def test_verify_refuses_data_that_it_cannot_read(data, capsys):
    Path("text.npy").write_text("no numbers")
    for arguments, words in (
        (["--against", "gone", "y.npy"], "gone: expected an .npy file of real numbers, .*no file"),
        (["--against", "D.npy", "text.npy"], "text.npy: expected an .npy file of real numbers, .*"),
        (["--row-weights", "a.npy"], "row-weights: can be given only together with --against D Y"),
    ):
        assert main(["verify", "a.cert", *arguments]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert re.fullmatch(f"bidual: error: {words}\n", told.err)


def test_a_file_is_compared_with_a_program(data):
    _, labels, program = data
    assert difference("a.cert", program) is None
    other = [
        (program.with_strength(np.nextafter(0.01, 1)), "strength: "),
        (bd.ConvexProgram(program.design, program.target, "softmax", 0.01), "row weights: "),
        (program.over(program.design.take([1, 0, 2, 3, 4])), "design: "),
    ]
    parts = program.design, program.target, "softmax", 0.01, program.row_weights
    other.append((bd.ConvexProgram(*parts, intercept=True), "intercept: False in the file, True"))
    other.append((bd.ConvexProgram(*parts, penalty="group"), "penalty: l1 in the file, group"))
    signs = bd.ConvexProgram(program.design, 2.0 * program.target - 1, "hinge", 0.01)
    other.append((signs, "targets: "))
    for each, words in other:
        assert difference("a.cert", each).startswith(words)
    dense = bd.ConvexProgram(bd.DenseMatrix(program.design.to_dense(float)), *parts[1:])
    with pytest.raises(ValueError, match=r"^program: expected a 0/1 design"):
        difference("a.cert", dense)
    huber = bd.ConvexProgram(program.design, labels, "huber", 0.01)
    bd.certify(huber, weights=np.zeros((5, 1)), exact=True).save("b.cert")
    assert difference("b.cert", huber) is None
    wide = bd.ConvexProgram(program.design, labels, bd.Huber(2.0), 0.01)
    assert difference("b.cert", wide) == "delta: 1 in the file, 2 here"


def test_verify_opens_a_file_once_and_reads_its_json_once(tmp_path, monkeypatch, capsys):
    X = [(*bits, 1) for bits in np.ndindex(2, 2)]
    program = bd.ConvexProgram(bd.complete_thresholds(X).atoms, np.arange(4.0), "squared", 0.1)
    path = str(tmp_path / "a.cert")
    proven = bd.certify(program, bd.solve(program), exact=True)
    proven.save(path, bd.completeness(program, X))
    np.save(tmp_path / "D.npy", program.design.to_dense())
    np.save(tmp_path / "y.npy", np.arange(4.0))
    real, member = open, zipfile.ZipFile.open
    opened, members = [], []

    def counted(file, *rest, **more):
        opened.append(str(file))
        return real(file, *rest, **more)

    def counted_member(self, name, *rest, **more):
        members.append(getattr(name, "filename", name))
        return member(self, name, *rest, **more)

    data = ["--against", str(tmp_path / "D.npy"), str(tmp_path / "y.npy")]
    for check in (
        lambda: main(["verify", path]) == 0,
        lambda: main(["verify", path, *data]) == 0,
        lambda: checker.main([path]) == 0,
        lambda: completeness_checker.main([path]) == 0,
        lambda: difference(path, program) is None,
    ):
        opened.clear()
        members.clear()
        with monkeypatch.context() as patch:
            for place in (builtins, io):
                patch.setattr(place, "open", counted)
            patch.setattr(zipfile.ZipFile, "open", counted_member)
            assert check()
        assert opened.count(path) == 1
        assert members.count("statement.json") == 1
        assert members.count("completeness.json") <= 1


def test_certify_counts_the_work_of_the_checker_before_it_writes(data, capsys, monkeypatch):
    np.save("w.npy", np.zeros((5, 3)))
    command = ["certify", "D.npy", "y.npy", "w.npy", "--loss", "softmax", "--strength", "1"]
    assert main([*command, "--out", "fine.cert"]) == 0
    steps = checker.work(checker.check("fine.cert"))
    capsys.readouterr()
    monkeypatch.setattr(checker, "MOST_WORK", steps)
    assert main([*command, "--out", "fine.cert"]) == 0
    monkeypatch.setattr(checker, "MOST_WORK", steps - 1)
    capsys.readouterr()
    before = Path("fine.cert").read_bytes()
    for out in ("none.cert", "fine.cert"):
        assert main([*command, "--out", out]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert re.fullmatch(
            rf"bidual: error: certificate: expected at most {steps - 1} steps of the checker, got "
            rf"{steps}; use fewer .*\n",
            told.err,
        )
    assert not Path("none.cert").exists()
    assert Path("fine.cert").read_bytes() == before


@pytest.mark.parametrize(
    "arguments", [["verify", "a.cert"], *slow(["backends"], ["--help"], ["verify", "--help"])]
)
@pytest.mark.parametrize("end", ["closed", *slow("full")])
def test_a_command_whose_output_is_closed_ends_quietly(data, arguments, end):
    if end == "full" and not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    command = [sys.executable, "-m", "bidual", *arguments]
    done = into(command, end)
    # argparse drops what it cannot print
    ends = {141, 0} if "--help" in arguments else {141}
    assert done.returncode in (ends if end == "closed" else {2})
    lines = done.stderr.splitlines()
    assert len(lines) == (end == "full")
    assert all(line.startswith("bidual: error: ") for line in lines)


@pytest.mark.parametrize("script", ["checker", *slow("completeness")])
@pytest.mark.parametrize("end", ["closed", *slow("full")])
def test_a_checker_whose_output_is_closed_ends_quietly(data, script, end):
    if end == "full" and not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    path = Path(checker.__file__).with_name(f"{script}.py")
    done = into([sys.executable, str(path), "a.cert", "none.cert"], end)
    assert (done.returncode, done.stderr) == (141, "")


def into(command, end):
    """Run a command whose output nobody reads, or goes to a full disk."""
    if end == "full":
        with open("/dev/full", "w") as full:
            return subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    reader, pipe = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(pipe)
