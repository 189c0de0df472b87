"""A pairwise covering of a grid: few of its cells that have between them every pair of levels."""

from itertools import combinations


def levels(program):
    """Levels of the factors that a program is a cell of."""
    a = program.row_weights
    return {
        "loss": program.loss.name,
        "penalty": program.penalty.name,
        "intercept": program.intercept,
        "outputs": "one" if program.outputs == 1 else "several",
        "row weights": "some 0" if (a == 0).any() else "even" if (a == a[0]).all() else "uneven",
    }


def covering(cells, kind):
    """Names of cells, chosen greedily until each pair of levels and each kind is among them.

    ``cells`` are levels by name; ``kind`` gives that of a name.
    """
    has = {name: {*combinations(each.items(), 2), kind(name)} for name, each in cells.items()}
    left, chosen = set().union(*has.values()), []
    while left:
        chosen.append(max(has, key=lambda name: len(has[name] & left)))
        left -= has[chosen[-1]]
    return chosen
