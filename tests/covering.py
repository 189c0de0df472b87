"""How much of the tests ``make test`` runs: coverings of grids, and shares of examples.

A covering has few cells of a grid, and between them every level, or every pair of levels.
"""

from heapq import heapify, heappop, heapreplace
from itertools import combinations

import pytest
from hypothesis import settings


def levels(program):
    """Level of each factor of a program, by the factor's name."""
    a = program.row_weights
    return {
        "loss": program.loss.name,
        "penalty": program.penalty.name,
        "intercept": program.intercept,
        "outputs": "one" if program.outputs == 1 else "several",
        "row weights": "some 0" if (a == 0).any() else "even" if (a == a[0]).all() else "uneven",
    }


def pairs_of(levels):
    """Pairs of levels, or the only level there is."""
    return {*combinations(levels.items(), min(2, len(levels)))}


def covering(met):
    """Cells chosen greedily until between them they meet all that any cell meets.

    ``met`` holds what each cell meets.
    """
    left, chosen, cells = set().union(*met.values()), [], list(met)
    # what a cell adds only falls, so a cell that still adds as much as it did is the best
    best = [(-len(met[cell]), k) for k, cell in enumerate(cells)]
    heapify(best)
    while left:
        expected, k = best[0]
        added = -len(met[cells[k]] & left)
        if added > expected:
            heapreplace(best, (added, k))
            continue
        chosen.append(cells[k])
        left -= met[cells[k]]
        heappop(best)
    return chosen


def marked(programs, kind=lambda name: None):
    """Marks of each program, by name: slow where a covering of levels and kinds leaves it out."""
    met = {name: pairs_of(levels(each)) | {kind(name)} for name, each in programs.items()}
    short = covering(met)
    return {name: [] if name in short else [pytest.mark.slow] for name in programs}


def slow(*values):
    """Return the values as parameters that are marked slow."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def parameters(programs):
    """Return the names of the programs as parameters with these marks."""
    return [pytest.param(name, marks=marks) for name, marks in marked(programs).items()]


def examples(count):
    """Settings of a property test of ``count`` examples, or of the profile's share of them."""
    return settings(max_examples=-(-count * settings().max_examples // 100))


def factors(item):
    """Values of a test's parameters, and pairs of those that one ``parametrize`` gives."""
    values, found = dict(item.callspec.params), set()
    for mark in item.iter_markers("parametrize"):
        names = mark.args[0]
        names = [name.strip() for name in names.split(",")] if isinstance(names, str) else names
        # a value is one object in all the tests that take it
        given = [(name, id(values.pop(name))) for name in names if name in values]
        found.update(combinations(given, min(2, len(given))))
    return found | {((name, id(value)),) for name, value in values.items()}


def left_out(items):
    """Tests that a covering goes without: every value of a factor that is not slow remains."""
    functions = {}
    for item in items:
        long = item.get_closest_marker("slow") or item.get_closest_marker("night")
        if hasattr(item, "callspec") and not long:
            functions.setdefault(item.nodeid.split("[")[0], {})[item] = factors(item)
    return [item for met in functions.values() for item in set(met).difference(covering(met))]
