// Gaussian blurs of few taps, whose number is known when this is compiled: REACH on either side. A
// row is of PARTS real numbers a pixel, of which a thread has PIXELS.
//
// What was measured on a card: a blur along both axes by way of shared memory, one after the other,
// took 5.4 times as long as a copy at 2×40×1024×1024, because each axis reads and writes the object
// and the loops over taps are not unrolled. In one pass it took 1.2 times as long as a copy.

#ifndef REACH
#define REACH 2
#define PARTS 1
#define PIXELS 1
#endif

#define EDGE (REACH * PARTS)
#define WINDOW (2 * REACH + 1)
// Slices that are on their way at the same time.
#define AHEAD 4

// Where a row beyond the ends is read, mirrored without repeating the end.
__device__ inline index_t reflected(index_t i, index_t n) {
    if (i >= 0 && i < n) return i;
    const long long period = n > 1 ? 2 * ((long long)n - 1) : 1;
    long long place = i % period;
    if (place < 0) place += period;
    return (index_t)(place < n ? place : period - place);
}

// The center of a window and its neighbours in pairs; unrolled, so that it stays in registers.
__device__ inline real blurred(const real *window, const real *weights) {
    real sum = weights[0] * window[REACH];
#pragma unroll
    for (int j = 1; j <= REACH; ++j) sum += weights[j] * (window[REACH - j] + window[REACH + j]);
    return sum;
}

// The rows that bands will need of their neighbours, which overwrite them: REACH above each band and
// as many below. `halos` is (slices, bands, 2 REACH, row).
extern "C" __global__ void save_halos(const real *x, real *halos, long long slices, long long ny,
                                      long long nx, long long band) {
    const index_t row = nx * PARTS, bands = (ny + band - 1) / band;
    const index_t size = (index_t)slices * bands * (2 * REACH) * row;
    for (index_t i = first_index(); i < size; i += grid_stride()) {
        const index_t line = i / row, task = line / (2 * REACH), k = line % (2 * REACH);
        const index_t slice = task / bands, top = task % bands * (index_t)band;
        const index_t bottom = min(top + (index_t)band, (index_t)ny);
        const index_t y = reflected(k < REACH ? top - REACH + k : bottom + k - REACH, (index_t)ny);
        halos[i] = x[(slice * (index_t)ny + y) * row + i % row];
    }
}

// A block goes down a band of rows at full width: horizontal taps from a line in shared memory, of
// which there are two in turns, vertical ones from a ring in registers. nx exceeds REACH.
template <bool measured>
__device__ inline void blur_in_bands(real *x, const real *__restrict__ halos, long long slices, long long ny,
                                     long long nx, long long band, const real *weights, real *lines,
                                     change_t &change) {
    const int row = (int)nx * PARTS, mirror = 2 * ((int)nx - 1);
    const index_t bands = (ny + band - 1) / band;
    for (index_t task = blockIdx.x; task < (index_t)slices * bands; task += gridDim.x) {
        const index_t slice = task / bands, first = task % bands * (index_t)band;
        const int rows = (int)min((index_t)band, (index_t)ny - first);
        real *top = x + (slice * (index_t)ny + first) * row;
        const real *above = halos + task * (2 * REACH) * row, *below = above + REACH * row;
        auto line_at = [&](int i) {
            return i < REACH ? above + i * row
                             : i < REACH + rows ? top + (index_t)(i - REACH) * row
                                                : below + (i - REACH - rows) * row;
        };
        real ring[PIXELS][WINDOW], next[PIXELS];
        const real *source = line_at(0);
#pragma unroll
        for (int q = 0; q < PIXELS; ++q) {
            const int at = threadIdx.x + q * blockDim.x;
            if (at < row) next[q] = source[at];
        }
        for (int i = 0; i < rows + 2 * REACH; ++i) {
            real *line = lines + i % 2 * (row + 2 * EDGE);
#pragma unroll
            for (int q = 0; q < PIXELS; ++q) {
                const int at = threadIdx.x + q * blockDim.x, pixel = at / PARTS, part = at % PARTS;
                if (at >= row) continue;
                line[EDGE + at] = next[q];
                if (pixel >= 1 && pixel <= REACH) line[EDGE - pixel * PARTS + part] = next[q];
                if (pixel >= (int)nx - 1 - REACH && pixel < (int)nx - 1)
                    line[EDGE + (mirror - pixel) * PARTS + part] = next[q];
            }
            __syncthreads();  // the other line was read before the last barrier
            if (i + 1 < rows + 2 * REACH) {
                source = line_at(i + 1);
#pragma unroll
                for (int q = 0; q < PIXELS; ++q) {
                    const int at = threadIdx.x + q * blockDim.x;
                    if (at < row) next[q] = source[at];
                }
            }
#pragma unroll
            for (int q = 0; q < PIXELS; ++q) {
                const int at = threadIdx.x + q * blockDim.x;
                if (at >= row) continue;
                real window[WINDOW];
#pragma unroll
                for (int k = 0; k < WINDOW; ++k) window[k] = line[at + k * PARTS];
#pragma unroll
                for (int k = 0; k < WINDOW - 1; ++k) ring[q][k] = ring[q][k + 1];
                ring[q][WINDOW - 1] = blurred(window, weights);
                if (i < 2 * REACH) continue;
                real &value = top[(index_t)(i - 2 * REACH) * row + at];
                const real now = blurred(ring[q], weights);
                if (measured) change.add(now, value);
                value = now;
            }
        }
        __syncthreads();  // before the next band's first line comes
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
blur_bands(real *x, const real *__restrict__ halos, long long slices, long long ny, long long nx,
           long long band, real w0, real w1, real w2, real w3, real w4, real w5, real w6, real w7, real w8) {
    SHARED(real, lines);
    const real weights[] = {w0, w1, w2, w3, w4, w5, w6, w7, w8};
    change_t none;
    blur_in_bands<false>(x, halos, slices, ny, nx, band, weights, lines, none);
}

extern "C" __global__ void __launch_bounds__(THREADS)
blur_bands_measured(real *x, const real *__restrict__ halos, long long slices, long long ny, long long nx,
                    long long band, real w0, real w1, real w2, real w3, real w4, real w5, real w6, real w7,
                    real w8, double *changed, double *before) {
    SHARED(real, lines);
    const real weights[] = {w0, w1, w2, w3, w4, w5, w6, w7, w8};
    change_t change = {0, 0};
    blur_in_bands<true>(x, halos, slices, ny, nx, band, weights, lines, change);
    store_change(change.difference, change.old, changed, before);
}

// Along the middle axis of (volumes, nz, plane), the ends repeated; a thread goes down a column.
template <bool measured>
__device__ inline void blur_in_depth(real *x, long long volumes, long long nz, long long plane,
                                     const real *weights, change_t &change) {
    const index_t stride = plane, depth = nz;
    for (index_t i = first_index(); i < (index_t)volumes * stride; i += grid_stride()) {
        real *column = x + i / stride * depth * stride + i % stride;
        real window[2 * REACH + AHEAD];
#pragma unroll
        for (int k = 0; k < 2 * REACH; ++k)
            window[k] = column[max((index_t)0, min((index_t)(k - REACH), depth - 1)) * stride];
        for (index_t z = 0; z < depth; z += AHEAD) {
            // the last slice, which stands for those below it, is written in the last turn alone
#pragma unroll
            for (int j = 0; j < AHEAD; ++j)
                window[2 * REACH + j] = column[min(z + REACH + j, depth - 1) * stride];
#pragma unroll
            for (int j = 0; j < AHEAD; ++j) {
                if (z + j >= depth) continue;
                const real now = blurred(window + j, weights);
                if (measured) change.add(now, window[j + REACH]);
                column[(z + j) * stride] = now;
            }
#pragma unroll
            for (int k = 0; k < 2 * REACH; ++k) window[k] = window[k + AHEAD];
        }
    }
}

extern "C" __global__ void blur_depth(real *x, long long volumes, long long nz, long long plane, real w0,
                                      real w1, real w2, real w3, real w4, real w5, real w6, real w7, real w8) {
    const real weights[] = {w0, w1, w2, w3, w4, w5, w6, w7, w8};
    change_t none;
    blur_in_depth<false>(x, volumes, nz, plane, weights, none);
}

extern "C" __global__ void blur_depth_measured(real *x, long long volumes, long long nz, long long plane,
                                               real w0, real w1, real w2, real w3, real w4, real w5, real w6,
                                               real w7, real w8, double *changed, double *before) {
    const real weights[] = {w0, w1, w2, w3, w4, w5, w6, w7, w8};
    change_t change = {0, 0};
    blur_in_depth<true>(x, volumes, nz, plane, weights, change);
    store_change(change.difference, change.old, changed, before);
}
