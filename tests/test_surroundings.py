"""The same answers wherever Python runs: flags, locales, streams, limits, read-only installs."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bidual as bd

JOB = """
import hashlib, sys
import numpy as np
import bidual as bd
from bidual.cli.main import main

folder = sys.argv[1]
X = np.random.default_rng(0).integers(0, 9, size=(40, 3, 4)) / 8
lif = bd.LIF(hidden=(6, 4), leak=0.5)
atoms = lif.sample(X, subnetworks=8, seed=0)
program = lif.program(atoms, np.arange(40) % 3, loss="hinge", beta=0.02)
solution = bd.solve(program)
network = solution.network()
certificate = bd.certify(program, solution, exact=True)
certificate.save(f"{folder}/job.cert")
atoms.save(f"{folder}/atoms")
network.save(f"{folder}/network")
same = (bd.SpikeDictionary.load(f"{folder}/atoms").atoms.words == atoms.atoms.words).all()
same = same and (bd.Network.load(f"{folder}/network").predict(X) == network.predict(X)).all()
if not same:  # no assert, which -O drops
    sys.exit("a file came back changed")
with open(f"{folder}/digest", "w", encoding="ascii") as file:
    file.write(hashlib.sha256(solution.weights.tobytes()).hexdigest())
sys.exit(main(["verify", f"{folder}/job.cert"]))
"""

# the status of each backend, for a program that it accepts
BACKENDS = """
import os, sys
import numpy as np
import bidual as bd

rng = np.random.default_rng(0)
D = bd.BinaryMatrix.from_dense(rng.random((40, 12)) < 0.5)
programs = [bd.ConvexProgram(D, np.sign(rng.normal(size=40)), loss, 0.02)
            for loss in ("squared", "hinge", "logistic")]
found = {}
for _ in "here", "elsewhere":
    for name, backend in bd.BACKENDS.items():
        for program in programs:
            one = name, program.loss.name
            if one not in found and backend.available() is backend.accepts(program) is None:
                found[one] = bd.solve(program, name).status.name
    os.chdir("/")  # scs is not available where the working folder was deleted
with open(f"{sys.argv[1]}/digest", "w", encoding="ascii") as file:
    file.write(str(found))
"""

# flags of Python, variables (None: unset), and a shell command that runs "$@"
SURROUNDINGS = {
    "optimised": (["-OO"], {}, '"$@"'),
    "warnings are errors": (["-W", "error", "-bb", "-X", "dev"], {}, '"$@"'),
    "warnings by variable": ([], {"PYTHONWARNINGS": "error"}, '"$@"'),
    "one hash seed": ([], {"PYTHONHASHSEED": "1"}, '"$@"'),
    "another hash seed": ([], {"PYTHONHASHSEED": "2"}, '"$@"'),
    "ASCII": ([], {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, '"$@"'),
    "Turkish": ([], {"LC_ALL": "tr_TR.UTF-8"}, '"$@"'),
    "short numbers": (["-X", "int_max_str_digits=640"], {}, '"$@"'),
    "odd time zone": ([], {"TZ": "Nowhere/Odd+99"}, '"$@"'),
    "no home": ([], {"HOME": "/proc/none", "TMPDIR": "/proc/none"}, '"$@"'),
    "home unset": ([], {"HOME": None}, '"$@"'),
    "streams closed": ([], {}, '"$@" <&- >&- 2>&-'),
    "standard output closed": ([], {}, '"$@" >&-'),
    "few files": ([], {}, 'ulimit -n 64; "$@"'),
    "small stack": ([], {}, 'ulimit -s 1024; "$@"'),
    "strict umask": ([], {}, 'umask 077; "$@"'),
    "folder gone": ([], {}, 'mkdir "$GONE"; cd "$GONE"; rmdir "$GONE"; "$@"'),
    "no just-in-time compiler": ([], {"NUMBA_DISABLE_JIT": "1"}, '"$@"'),
    "odd number of threads": ([], {"OMP_NUM_THREADS": "x", "NUMBA_NUM_THREADS": "1"}, '"$@"'),
    "all at once": (
        ["-OO", "-W", "error", "-bb"],
        {"PYTHONHASHSEED": "3", "LC_ALL": "C", "PYTHONUTF8": "0", "HOME": None},
        'umask 077; ulimit -n 64; mkdir "$GONE"; cd "$GONE"; rmdir "$GONE"; "$@" <&- >&- 2>&-',
    ),
}

posix = pytest.mark.skipif(os.name != "posix", reason="needs a shell of Unix")


def within(surroundings, folder, job=JOB):
    """The exit status of the job, what it said of errors, and the digest of its answers."""
    flags, variables, shell = surroundings
    environment = os.environ | {"GONE": str(folder / "gone")} | variables
    environment = {name: value for name, value in environment.items() if value is not None}
    command = [sys.executable, *flags, "-c", job, str(folder)]
    done = subprocess.run(
        ["sh", "-c", shell, "sh", *command], capture_output=True, text=True, env=environment
    )
    digest = folder / "digest"
    return done.returncode, done.stderr, digest.exists() and digest.read_text()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The digest in the surroundings of the tests."""
    status, error, digest = within(([], {}, '"$@"'), tmp_path_factory.mktemp("plain"))
    assert (status, error) == (0, "")
    assert digest
    return digest


@posix
@pytest.mark.slow
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_answers_and_files_are_the_same(name, plain, tmp_path):
    assert within(SURROUNDINGS[name], tmp_path) == (0, "", plain)


@posix
@pytest.mark.slow
def test_every_backend_works_where_all_is_odd_at_once(tmp_path):
    status, error, found = within(SURROUNDINGS["all at once"], tmp_path, BACKENDS)
    assert (status, error) == (0, "")
    assert set(ast.literal_eval(found).values()) == {"CERTIFIED"}
    ready = {name for name, backend in bd.BACKENDS.items() if backend.available() is None}
    assert {name for name, _ in ast.literal_eval(found)} == ready


@posix
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs namespaces of Linux")
def test_answers_are_the_same_without_shared_memory(plain, tmp_path):
    hide = "mount -t tmpfs -o ro none /dev/shm"
    if subprocess.run(["unshare", "-m", "sh", "-c", hide], capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    found = within(([], {}, f"""unshare -m sh -c '{hide}; "$@"' sh "$@" """), tmp_path)
    assert found == (0, "", plain)


@pytest.fixture
def install(tmp_path):
    """A copy of the package whose kernels have no place: no folder of them can be made."""
    package = Path(bd.__file__).parent
    copy = tmp_path / "site" / "bidual"
    for source in (package / "__init__.py", package / "__main__.py"):
        copy.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copy)
    for folder in sorted({path.parent for path in package.glob("*/__init__.py")}):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(folder, copy / folder.name, ignore=ignored)
    # even root, who may write to any folder, can make none under a file
    (copy / "kernels" / "__pycache__").write_text("a file")
    (tmp_path / "home").write_text("a file")
    environment = os.environ | {"PYTHONPATH": str(copy.parent), "HOME": str(tmp_path / "home")}
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        environment.pop(name, None)
    return environment


PRODUCTS = """
import numpy as np, bidual as bd
D = bd.BinaryMatrix.from_dense(np.eye(9, 5))
print(bd.__file__, D.rmatvec(np.arange(9.0)).tolist(), D.rmatvec_exact(np.arange(9)).tolist())
"""


@pytest.mark.slow
def test_kernels_of_a_read_only_install_work_and_one_line_names_the_way_out(install, tmp_path):
    def products(**variables):
        done = subprocess.run(
            [sys.executable, "-c", PRODUCTS], capture_output=True, text=True, check=True,
            cwd=tmp_path, env=install | variables,
        )  # fmt: skip
        file, found = done.stdout.split(" ", 1)
        assert file.startswith(str(tmp_path))
        assert found == "[0.0, 1.0, 2.0, 3.0, 4.0] [0, 1, 2, 3, 4]\n"
        return done.stderr

    for _ in range(2):
        (line,) = products().splitlines()
        assert "NUMBA_CACHE_DIR" in line
    folder = tmp_path / "kernels"
    assert products(NUMBA_CACHE_DIR=str(folder)) == ""
    saved = {*folder.rglob("*.nbc")}
    assert saved
    assert products(NUMBA_CACHE_DIR=str(folder)) == ""
    assert {*folder.rglob("*.nbc")} == saved


@pytest.fixture
def proof(tmp_path):
    """A certificate file, whose name has letters beyond ASCII."""
    D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    program = bd.ConvexProgram(D, [1.0, 2.0, -1.0], "squared", 0.1)
    path = tmp_path / "größe.cert"
    bd.certify(program, bd.solve(program), exact=True).save(path)
    return path


def test_verify_needs_the_standard_library_only(install, proof, tmp_path):
    for name in ("numba", "numpy", "scipy", "llvmlite", "sklearn", "threadpoolctl"):
        (tmp_path / "site" / f"{name}.py").write_text("raise ImportError('broken')")
    command = [sys.executable, "-m", "bidual", "verify", str(proof)]
    done = subprocess.run(command, capture_output=True, text=True, env=install, cwd=tmp_path)
    assert done.stdout.startswith("proven ")
    assert (done.returncode, done.stderr) == (0, "")
    solve = [sys.executable, "-c", "import bidual; bidual.solve"]
    done = subprocess.run(solve, capture_output=True, text=True, env=install, cwd=tmp_path)
    assert done.stderr.splitlines()[-1] == "ImportError: broken"


@posix
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_verify_tells_names_that_the_terminal_cannot_show(encoding, proof):
    strange = os.fsencode(proof.parent) + b"/\xff.cert"  # no text in UTF-8
    shutil.copy(proof, strange)
    command = [sys.executable, "-m", "bidual", "verify", proof, strange, "größe"]
    done = subprocess.run(
        command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": encoding}
    )
    first, second, third = done.stdout.splitlines()
    assert first.startswith(b"proven ")
    assert second.startswith(b"proven ")
    assert third.startswith(b"refused ")
    assert (done.returncode, done.stderr) == (1, b"")
