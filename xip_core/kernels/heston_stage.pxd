# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What the stages of equity.heston share of a block of rows: column by column, so that every stage runs in vectors."""

from xip_core.kernels.columns cimport BLOCK_ROWS
from xip_core.kernels.heston cimport Contour, Model

cdef struct Stage:
    # A row's data.
    double spot[BLOCK_ROWS]
    double strike[BLOCK_ROWS]
    double time[BLOCK_ROWS]
    double v0[BLOCK_ROWS]
    double kappa[BLOCK_ROWS]
    double theta[BLOCK_ROWS]
    double sigma[BLOCK_ROWS]
    double rho[BLOCK_ROWS]
    double carry[BLOCK_ROWS]            # ln(F / S)
    double log_strike[BLOCK_ROWS]       # ln(K / F)
    double variance[BLOCK_ROWS]
    # Its line.
    double side[BLOCK_ROWS]             # 1 crosses beyond 1, -1 below 0, 0 in between
    double critical_call[BLOCK_ROWS]
    double critical_put[BLOCK_ROWS]
    double distance[BLOCK_ROWS]
    double centre[BLOCK_ROWS]
    double scale[BLOCK_ROWS]
    double sine[BLOCK_ROWS]
    double cosine[BLOCK_ROWS]
    double step[BLOCK_ROWS]
    double up_factor[BLOCK_ROWS]
    double up[BLOCK_ROWS]
    double down[BLOCK_ROWS]
    # Its sums over the nodes.
    double sum_pv[BLOCK_ROWS]
    double sum_before[BLOCK_ROWS]       # of pv, over every second node
    double sum_delta[BLOCK_ROWS]
    double sum_gamma[BLOCK_ROWS]
    double sum_v0[BLOCK_ROWS]
    double sum_kappa[BLOCK_ROWS]
    double sum_theta[BLOCK_ROWS]
    double sum_sigma[BLOCK_ROWS]
    double sum_rho[BLOCK_ROWS]
    double sum_time[BLOCK_ROWS]
    double gamma_before[BLOCK_ROWS]     # of gamma, over every second node
    double sum_size[BLOCK_ROWS]
    double gamma_size[BLOCK_ROWS]
    double end_size[BLOCK_ROWS]


cdef inline Model model_of(Stage* stage, Py_ssize_t row) noexcept nogil:
    cdef Model m
    m.time = stage.time[row]
    m.v0 = stage.v0[row]
    m.kappa = stage.kappa[row]
    m.theta = stage.theta[row]
    m.sigma = stage.sigma[row]
    m.rho = stage.rho[row]
    return m


cdef inline Contour line_of(Stage* stage, Py_ssize_t row) noexcept nogil:
    cdef Contour line
    line.centre = stage.centre[row]
    line.scale = stage.scale[row]
    line.sine = stage.sine[row]
    line.cosine = stage.cosine[row]
    return line
