"""The backends, by the word that users write; own ones first."""

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
