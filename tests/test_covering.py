"""A covering goes without nothing that it should meet, and is smaller than the grid."""

from itertools import combinations, product
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from covering import beyond_pairs, covering


class Item:
    """Stands in for a test with parameters, which pytest hashes by identity."""

    def __init__(self, function, **params):
        self.nodeid = f"{function}[{params}]"
        self.callspec = SimpleNamespace(params=params)


@given(st.dictionaries(st.integers(), st.sets(st.integers(0, 9)), min_size=1))
def test_a_covering_meets_all_that_the_grid_does(met):
    chosen = covering(met)
    assert set().union(*(met[cell] for cell in chosen)) == set().union(*met.values())
    assert len(set(chosen)) == len(chosen) <= 10


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_all_pairs_of_parameters_remain(sizes):
    values = [[f"value {i} of {size}" for i in range(size)] for size in sizes]
    items = [Item("f", **{f"p{i}": v for i, v in enumerate(each)}) for each in product(*values)]
    beyond = beyond_pairs(items)
    assert len(set(beyond)) == len(beyond)
    kept = [item.callspec.params for item in items if item not in beyond]
    for names in combinations(items[0].callspec.params, min(2, len(sizes))):
        every = set(product(*(values[int(name[1:])] for name in names)))
        assert {tuple(each[name] for name in names) for each in kept} == every
    # two parameters are their own pairs
    assert bool(beyond) == (sum(size > 1 for size in sizes) > 2)


def test_functions_are_covered_apart_and_tests_without_parameters_stay():
    values = {"a": "xy", "b": "xy", "c": "xy"}
    grid = [dict(zip(values, each, strict=True)) for each in product(*values.values())]
    alone = SimpleNamespace(nodeid="h")
    items = [alone, *(Item(name, **params) for params in grid for name in ("f", "g"))]
    beyond = beyond_pairs(items)
    assert alone not in beyond
    of = {name: [i for i in beyond if i.nodeid.startswith(name)] for name in ("f", "g")}
    assert len(of["f"]) == len(of["g"]) == 4  # four of eight have all pairs
