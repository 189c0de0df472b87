"""The backends, by the word that users write; own ones first."""

from .admm_ import ADMM
from .backend import Backend
from .clarabel_ import Clarabel
from .cvxpy_ import CVXPY
from .ecos_ import ECOS
from .highs_ import HiGHS
from .lasso_ import Lasso
from .mosek_ import MOSEK
from .newton_ import Newton
from .osqp_ import OSQP
from .scs_ import SCS
from .sklearn_ import ScikitLearn

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
