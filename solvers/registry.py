"""Registry of backends by name, built-in ones first."""

from .backend import Backend
from .backends.admm_ import ADMM
from .backends.clarabel_ import Clarabel
from .backends.cvxpy_ import CVXPY
from .backends.ecos_ import ECOS
from .backends.highs_ import HiGHS
from .backends.lasso_ import Lasso
from .backends.mosek_ import MOSEK
from .backends.osqp_ import OSQP
from .backends.scs_ import SCS
from .backends.sklearn_ import ScikitLearn
from .newton.newton_ import Newton

BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        Newton(),
        Lasso(),
        ADMM(),
        ScikitLearn(),
        OSQP(),
        Clarabel(),
        SCS(),
        HiGHS(),
        ECOS(),
        MOSEK(),
        CVXPY(),
    )
}


def register(backend: Backend) -> None:
    """Add a backend to ``bidual.BACKENDS``, so that users can select it by name.

    Parameters
    ----------
    backend : Backend
        An instance; ``bidual.solve(program, backend=instance)`` works without registering.

    Raises
    ------
    ValueError
        If it is not an instance of a subclass of :class:`Backend`, if it has no name, or if
        its name is "auto" or that of a registered backend.

    Examples
    --------
    >>> import bidual as bd
    >>> class Nothing(bd.Backend):
    ...     name = "nothing"
    ...
    ...     def accepts(self, program):
    ...         return None
    ...
    ...     def solve(self, model, monitor, options):
    ...         return "offered nothing"
    >>> bd.register(Nothing())
    >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    >>> program = bd.ConvexProgram(D, [1.0, 2.0, -1.0], strength=0.1)
    >>> bd.solve(program, "nothing").status.name
    'FAILED'
    >>> del bd.BACKENDS["nothing"]
    """
    check_backend(backend)
    if backend.name == "auto" or backend.name in BACKENDS:
        raise ValueError(
            f"backend: the name {backend.name!r} is taken; choose a name other than 'auto' and "
            f"{list(BACKENDS)}"
        )
    BACKENDS[backend.name] = backend


def find_backend(backend: str | Backend) -> Backend:
    """Return the backend of that name, or the given backend if :func:`check_backend` accepts it."""
    if not isinstance(backend, str):
        check_backend(backend)
        return backend
    if backend not in BACKENDS:
        raise ValueError(
            f"backend: expected 'auto', one of {list(BACKENDS)} or a Backend, got {backend!r}"
        )
    return BACKENDS[backend]


def check_backend(backend: object) -> None:
    """Raise ValueError unless this is an instance of a Backend with a name."""
    if not isinstance(backend, Backend):
        what = f"the class {backend.__name__}" if isinstance(backend, type) else repr(backend)
        raise ValueError(
            f"backend: expected a name or an instance of bidual.Backend, got {what:.80}"
        )
    name = getattr(backend, "name", None)
    if not isinstance(name, str) or not name:
        raise ValueError(
            f"backend: expected its attribute name to be a non-empty string, got {name!r} for "
            f"{backend!r:.80}"
        )
