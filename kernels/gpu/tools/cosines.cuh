// Cosine transforms by Fourier transforms of reordered samples, even ones first and then the odd ones
// backwards (Makhoul 1980).

// Where sample i of n goes.
__device__ inline index_t reordered(index_t i, index_t n) { return i % 2 ? n - 1 - i / 2 : i / 2; }

// exp(-iπ k/2n)
__device__ inline complex_t quarter_wave(index_t k, index_t n) {
    real sine, cosine;
#if SINGLE
    sincospif((real)k / (real)(2 * n), &sine, &cosine);
#else
    sincospi((real)k / (real)(2 * n), &sine, &cosine);
#endif
    return {cosine, -sine};
}

__device__ inline complex_t product(complex_t a, complex_t b) {
    return {a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x};
}

// conj(a)·b
__device__ inline complex_t unwind(complex_t a, complex_t b) {
    return {a.x * b.x + a.y * b.y, a.x * b.y - a.y * b.x};
}
