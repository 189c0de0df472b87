"""MOSEK without a licence: models compile and are written; solving says what to do."""

import numpy as np
import pytest

import bidual as bd

from programs import random_program

mosek = pytest.importorskip("mosek", reason="mosek is not installed")
BACKEND = bd.BACKENDS["mosek"]


def matrices(task):
    """Linear part, bounds, objective and affine conic part of a task, dense."""
    rows, columns = task.getnumcon(), task.getnumvar()
    linear = np.zeros((rows, columns))
    for i in range(rows):
        _, indices, values = task.getarow(i)
        linear[i, indices] = values
    affine = np.zeros((task.getnumafe(), columns))
    for i in range(task.getnumafe()):
        _, indices, values = task.getafefrow(i)
        affine[i, indices] = values
    constants = np.array([task.getafeg(i) for i in range(task.getnumafe())])
    return linear, np.array(task.getc()), affine, constants


@pytest.mark.parametrize("loss", bd.LOSSES)
def test_task_file_holds_the_conic_form(tmp_path, loss):
    program = random_program(loss, True)
    form = program.to_conic()
    path = tmp_path / "program.task"
    BACKEND.write(program, path)
    with mosek.Task() as task:
        task.readdata(str(path))
        linear, cost, affine, constants = matrices(task)
        kinds, lower, upper = task.getconboundslice(0, task.getnumcon())
        _, rows, columns, values = task.getqobj()
        domains = [task.getaccdomain(i) for i in range(task.getnumacc())]
        exponential = [task.getdomaintype(d) == mosek.domaintype.primal_exp_cone for d in domains]
        order = [task.getaccafeidxlist(i) for i in range(task.getnumacc())]
    top = form.zero + form.nonnegative
    dense = form.matrix.toarray()
    np.testing.assert_array_equal(linear, dense[:top])
    np.testing.assert_array_equal(upper, form.bounds[:top, 0])
    np.testing.assert_array_equal(lower[: form.zero], form.bounds[: form.zero, 0])
    assert kinds[form.zero :] == [mosek.boundkey.up] * form.nonnegative
    np.testing.assert_array_equal(cost, form.linear[:, 0])
    quadratic = np.zeros(form.quadratic.shape)
    quadratic[rows, columns] = values
    np.testing.assert_array_equal(quadratic, form.quadratic.toarray())
    np.testing.assert_array_equal(affine, -dense[top:])
    np.testing.assert_array_equal(constants, form.bounds[top:, 0])
    assert exponential == [True] * form.exponential
    assert [list(o) for o in order] == [[3 * k + 2, 3 * k + 1, 3 * k] for k in range(len(order))]


def test_formats_that_cannot_hold_a_model_are_refused(tmp_path):
    quadratic, conic = random_program("squared", False), random_program("logistic", False)
    BACKEND.write(quadratic, tmp_path / "quadratic.mps")
    BACKEND.write(conic, tmp_path / "conic.ptf")
    with pytest.raises(ValueError, match="path"):
        BACKEND.write(conic, tmp_path / "conic.mps")
    with pytest.raises(ValueError, match="path"):
        BACKEND.write(quadratic, tmp_path / "quadratic.ptf")


def test_without_a_licence_solving_says_which_variable_to_set(monkeypatch, tmp_path):
    if BACKEND.available() is None:
        pytest.skip("a MOSEK licence is installed here")
    with pytest.raises(bd.BackendUnavailable, match="MOSEKLM_LICENSE_FILE"):
        bd.solve(random_program("squared", False), "mosek")
