"""Every comparison in completeness.py matters: with any one turned round, some file shows it.

A mutant is completeness.py with one comparison negated, as in test_checker_mutations. It is
caught when a complete file is not proven with the same words, or an altered one is proven or
refused for another reason.
"""

import ast
import copy
import re
import types

import numpy as np
import pytest
from test_checker_mutations import NEGATED, comparisons
from test_completeness import ALTERED, SOURCE, good, over, save, strings

import bidual as bd
from bidual.certificates import checker
from bidual.certificates.complete_statement import completeness

pytestmark = pytest.mark.slow

TREE = ast.parse(SOURCE.read_text())
PLACES = {
    f"{node.lineno}: {ast.unparse(node)} [{place}]": k
    for k, (node, place) in enumerate(comparisons(TREE))
}
# only run as a script does it tell anything; test_completeness.py runs the script
EQUIVALENT = "__name__ == '__main__'"


def mutant(k):
    """The tree with one operator negated."""
    tree = copy.deepcopy(TREE)
    node, place = comparisons(tree)[k]
    node.ops[place] = NEGATED[type(node.ops[place])]()
    return tree


def loaded(tree):
    """completeness.py from a tree, beside the checker."""
    module = types.ModuleType("bidual.certificates.mutant")
    module.__package__ = "bidual.certificates"
    exec(compile(tree, "completeness.py", "exec"), module.__dict__)
    return module


def outcome(module, path):
    """What a file is told to be."""
    try:
        return module.check(path)
    except checker.Refused as reason:
        return str(reason)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Paths with what has to be said of them: all of it, or an expression that finds it."""
    folder = tmp_path_factory.mktemp("files")
    whole, found = {}, {}
    for base in ("mixed", "cube", "biased", "last", "every"):
        program, shown = good(base)
        whole[save(folder / f"{base}.cert", program, shown)] = None
        if base in ("mixed", "last"):
            fewer = over(program.design.take(range(1, program.design.shape[1])))
            found[save(folder / f"{base} fewer.cert", fewer, shown)] = r"that the columns lack$"
    rng = np.random.default_rng(0)
    for seed, d in ((0, 2), (1, 3), (2, 4)):
        X = rng.integers(-3, 4, (6, d))
        program = over(bd.threshold_patterns(X).patterns.unique()[0])
        whole[save(folder / f"small {seed}.cert", program, completeness(program, X))] = None
    # sequences with equal beginnings, and nodes with the very same line
    X, _ = strings(3)
    for leak in ("1", "1/2"):
        for reset in ("delayed", "immediate"):
            for name, inputs in (("two", X), ("one", X[:, :, :1]), ("signs", 2 * X - 1)):
                program = over(bd.complete_lif(inputs, leak, reset).atoms)
                path = folder / f"{name} {leak.replace('/', ' ')} {reset}.cert"
                whole[save(path, program, completeness(program, inputs, leak, reset))] = None
    for k, (base, alter, words) in enumerate(ALTERED.values()):
        program, shown = good(base)
        alter(shown)
        found[save(folder / f"altered {k}.cert", program, shown)] = words
    return whole, found


@pytest.fixture(scope="module")
def answers(files):
    whole, found = files
    module = loaded(TREE)
    told = {path: outcome(module, path) for path in (*whole, *found)}
    for path in whole:
        assert told[path].startswith("no "), told[path]
    for path, words in found.items():
        assert re.search(words, told[path]), (words, told[path])
    return told


def survives(module, answers):
    """Whether it says of every file the same, and tells how to use it."""
    # that all lines are turned the same way is enough for files: one below 0 would do
    turned = module.line((0, -1, 2)) == module.line((0, 1, -2)) == (0, 1, -2)
    return (
        turned
        and module.main([]) == 2
        and all(outcome(module, path) == expected for path, expected in answers.items())
    )


def test_completeness_itself_survives(answers):
    assert survives(loaded(TREE), answers)


@pytest.mark.parametrize("place", [name for name in PLACES if EQUIVALENT not in name])
def test_a_comparison_turned_round_is_caught(place, answers):
    try:
        caught = not survives(loaded(mutant(PLACES[place])), answers)
    except (Exception, SystemExit):  # any failure is one that a test would show
        caught = True
    assert caught
