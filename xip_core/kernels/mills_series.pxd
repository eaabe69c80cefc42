# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Time value of a lognormal option near the money, where the difference of two Mills ratios would cancel."""

from xip_core.kernels.elementary cimport fma_


cdef inline double time_series(double z, double t, double mills) noexcept nogil:
    """
    M(z - t) - M(z + t) without cancellation, t < 1/4, z t < 1.

    M(z) is the integral of exp(-z u - u^2 / 2) over u > 0, so the difference is that of 2 sinh(t u) under the same
    weight: 2 sum of I_n t^n / n! over odd n, with I_0 = M, I_1 = 1 - z M, I_(n+1) = n I_(n-1) - z I_n.
    """
    cdef double square = t * t
    cdef double i1 = fma_(-z, mills, 1.0)
    cdef double i2 = fma_(-z, i1, mills)
    cdef double i3 = fma_(-z, i2, 2.0 * i1)
    cdef double i4 = fma_(-z, i3, 3.0 * i2)
    cdef double i5 = fma_(-z, i4, 4.0 * i3)
    cdef double i6 = fma_(-z, i5, 5.0 * i4)
    cdef double i7 = fma_(-z, i6, 6.0 * i5)
    cdef double i8 = fma_(-z, i7, 7.0 * i6)
    cdef double i9 = fma_(-z, i8, 8.0 * i7)
    cdef double i10 = fma_(-z, i9, 9.0 * i8)
    cdef double i11 = fma_(-z, i10, 10.0 * i9)
    cdef double i12 = fma_(-z, i11, 11.0 * i10)
    cdef double i13 = fma_(-z, i12, 12.0 * i11)
    cdef double i14 = fma_(-z, i13, 13.0 * i12)
    cdef double i15 = fma_(-z, i14, 14.0 * i13)
    cdef double rest = fma_(i15 * (1.0 / 1307674368000.0), square, i13 * (1.0 / 6227020800.0))
    rest = fma_(rest, square, i11 * (1.0 / 39916800.0))
    rest = fma_(rest, square, i9 * (1.0 / 362880.0))
    rest = fma_(rest, square, i7 * (1.0 / 5040.0))
    rest = fma_(rest, square, i5 * (1.0 / 120.0))
    rest = fma_(rest, square, i3 * (1.0 / 6.0))
    return 2.0 * t * fma_(rest, square, i1)
