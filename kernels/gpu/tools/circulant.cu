// The depth filter of few slices, whose number NZ is known when this is compiled.
//
// The filter of one lateral frequency is real and even in kz: as a matrix on the column it is a
// symmetric circulant of NZ/2 + 1 numbers. A thread makes them in registers and applies them to its
// column in shared memory: no bases, no transform, no barrier. For 40 slices of 1024² that took 1.6
// times as long as a copy on a card, products with the bases 2.8 times.

#ifndef NZ
#define NZ 5
#define COSINES {1.0, 0.30901699437494745, -0.80901699437494745, -0.80901699437494745, 0.30901699437494745}
#endif

#define HALF (NZ / 2)
#define EVEN (NZ % 2 == 0)
// Slices that a thread forms at a time: what it reads serves four sums.
#define TILE 4
// Threads of a block: with the column in registers instead of shared memory, 40 slices spilled.
#define LANES 128

// A slice below the last or above the first, in the periodic column.
__device__ inline int wrapped(int n) {
    if (NZ <= TILE) return (n % NZ + NZ) % NZ;
    return n < 0 ? n + NZ : n >= NZ ? n - NZ : n;
}

__device__ inline void add(complex_t &sum, real weight, complex_t a) {
    sum.x += weight * a.x;
    sum.y += weight * a.y;
}

extern "C" __global__ void __launch_bounds__(LANES)
filter_columns(complex_t *spectrum, long long ny, long long nx, double beta2, double alpha, double factor,
               double offset) {
    SHARED(complex_t, columns);
    const real cosines[NZ] = COSINES;
    const int width = blockDim.x;
    const index_t plane = ny * (nx / 2 + 1);
    complex_t *x = columns + threadIdx.x;
    for (index_t column = first_index(); column < plane; column += grid_stride()) {
        complex_t *top = spectrum + column;
#pragma unroll
        for (int n = 0; n < NZ; ++n) x[n * width] = top[n * plane];

        const wedge_t filter = wedge(column, ny, nx, beta2, alpha, factor / NZ);
        real weights[HALF + 1], circulant[HALF + 1];
#pragma unroll
        for (int k = 0; k <= HALF; ++k) {
            // the others stand for two frequencies, k and -k
            const bool alone = k == 0 || (EVEN && k == HALF);
            weights[k] = (alone ? 1 : 2) * filter.at((double)k / NZ);
        }
#pragma unroll
        for (int d = 0; d <= HALF; ++d) {
            circulant[d] = weights[0];
#pragma unroll
            for (int k = 1; k <= HALF; ++k) circulant[d] += weights[k] * cosines[k * d % NZ];
        }

#pragma unroll 1
        for (int n = 0; n < NZ; n += TILE) {
            // sliding windows over the slices d below and d above those that are formed
            complex_t below[TILE], above[TILE], sums[TILE];
#pragma unroll
            for (int i = 0; i < TILE; ++i) {
                below[i] = above[i] = x[wrapped(n + i) * width];
                sums[i] = {circulant[0] * below[i].x, circulant[0] * below[i].y};
            }
#pragma unroll
            for (int d = 1; d <= HALF; ++d) {
#pragma unroll
                for (int i = 0; i < TILE - 1; ++i) {
                    below[i] = below[i + 1];
                    above[TILE - 1 - i] = above[TILE - 2 - i];
                }
                below[TILE - 1] = x[wrapped(n + TILE - 1 + d) * width];
                above[0] = x[wrapped(n - d) * width];
#pragma unroll
                for (int i = 0; i < TILE; ++i) {
                    // half the number of slices away there is but one
                    const bool pair = !EVEN || d < HALF;
                    const complex_t both = {below[i].x + above[i].x, below[i].y + above[i].y};
                    add(sums[i], circulant[d], pair ? both : below[i]);
                }
            }
#pragma unroll
            for (int i = 0; i < TILE; ++i) {
                if (column == 0) sums[i].x += offset;
                if (n + i < NZ) top[(n + i) * plane] = sums[i];
            }
        }
    }
}
