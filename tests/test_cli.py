"""The command line: what it prints, what it writes, and how it takes bad input."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bidual as bd
from bidual.certificates import checker
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


@pytest.mark.parametrize("loss", ["hinge", *slow("logistic")])
def test_refused_programs_are_told_in_the_row(tmp_path, capsys, loss):
    arguments = ["--loss", loss, "--backends", "lasso,osqp,admm", "--gap", "1e-2"]
    assert main([*SMALL, *arguments, "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "compare.json").read_text())["rows"]
    refused = "lasso" if loss == "hinge" else "osqp"
    assert [row["backend"] for row in rows if row["status"] == "not accepted"] == [refused]
    assert loss in capsys.readouterr().out


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
