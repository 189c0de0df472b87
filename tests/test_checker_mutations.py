"""Every comparison in the checker matters: with any one turned round, some file shows it.

A mutant is the checker with one comparison negated (``<`` becomes ``>=``, ``in`` becomes
``not in``). It is caught when a good certificate is not proven with the same words, or
a corrupted one is proven, or refused for another reason than the test of the checker asks.
"""

import ast
import copy
import re

import pytest
from cert_files import CORRUPTIONS, PROGRAMS, checker_module, corrupt, good
from test_checker import BY_HAND, SOURCE, UNITS, by_hand, in_other_units, lift

from bidual.certificates import checker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Duplicate name"),  # which one of the files has
]

NEGATED = {
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


def comparisons(tree):
    """Every operator of every comparison: (node, place among its operators)."""
    found = [
        (node, place)
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        for place in range(len(node.ops))
    ]
    return sorted(found, key=lambda each: (each[0].lineno, each[0].col_offset, each[1]))


TREE = ast.parse(SOURCE.read_text())
PLACES = {
    f"{node.lineno}: {ast.unparse(node)} [{place}]": k
    for k, (node, place) in enumerate(comparisons(TREE))
}


def mutant(k):
    """The tree with one operator negated."""
    tree = copy.deepcopy(TREE)
    node, place = comparisons(tree)[k]
    node.ops[place] = NEGATED[type(node.ops[place])]()
    return tree


def lifted(name, part, shift):
    """A program worked out by hand, over other powers of two."""
    parts = by_hand(*BY_HAND[name])
    lift(parts.statement, part, shift)
    return parts.archive()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Good files with what is proven of them, and bad ones with what the refusal has to say."""
    folder = tmp_path_factory.mktemp("files")
    contents = {base: good(base, folder).archive() for base in PROGRAMS}
    contents["told complete"] = good("squared", folder).archive(extra=[(checker.EXTRA_NAME, "{}")])
    for name in BY_HAND:
        contents[f"{name} by hand"] = by_hand(*BY_HAND[name]).archive()
        for part in ("row_weights", "weights", "V"):
            contents[f"{name} by hand, {part}"] = lifted(name, part, 9)
    for unit in UNITS:
        contents["{}, units {} and {}".format(*unit)] = in_other_units(*unit)
    for bits in (-2, 0, 3, 60, 300):  # fits from 4 down to nothing that 40 digits see beside 1
        for V in (0, -1):
            parts = by_hand("logistic", [V], [-1], [1], 1, (0, 0, 0, 0), bits=52)
            parts.statement["weights"]["bits"] = bits
            parts.mend_claims()
            contents[f"logistic, {bits} bits, {V}"] = parts.archive()
    for label in ([1, 0], [0, 1]):
        parts = by_hand("softmax", [0, 0], label, [1, 0], 1, (0, 0, 0, 0), bits=52)
        parts.mend_claims()
        contents[f"softmax, {label}"] = parts.archive()
    coarse = by_hand(*BY_HAND["squared"])
    coarse.statement["bounds"]["bits"] = -2
    coarse.mend_claims()
    contents["coarse"] = coarse.archive()
    proven = {}
    for name, content in contents.items():
        path = folder / f"{name}.cert"
        path.write_bytes(content)
        proven[path] = checker.statement(checker.check(path))
    refused = {}
    for k, name in enumerate(CORRUPTIONS):
        content, words = corrupt(name, folder)
        if len(content) < 10**5:  # the large ones are about time and memory
            path = folder / f"bad {k}.cert"
            path.write_bytes(content)
            refused[path] = words
    assert len(refused) > 200
    return proven, refused


def survives(module, proven, refused):
    """Whether a checker says of every file what it should."""
    for path, words in proven.items():
        if module.statement(module.check(path)) != words:
            return False
    for path, words in refused.items():
        try:
            module.check(path)
        except module.Refused as reason:
            if re.search(words, str(reason)) is None:
                return False
        else:
            return False
    return module.main([]) == 2


def test_the_checker_itself_survives(files):
    assert survives(checker_module(TREE), *files)


@pytest.mark.parametrize("place", PLACES)
def test_a_comparison_turned_round_is_caught(place, files):
    try:
        caught = not survives(checker_module(mutant(PLACES[place])), *files)
    except (Exception, SystemExit):  # any failure is one that a test would show
        caught = True
    assert caught
