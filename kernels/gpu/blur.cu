// Gaussian blurs along one axis, in place: a line of the object passes through a window in shared
// memory that holds what its neighbours still need, so that nothing is kept elsewhere.
//
// The window is a ring whose size is a power of two: all of the line where that fits, else at least
// four times the reach. taps[j] is the weight of both neighbours at distance j.

// Eight weights arrive by value: an upload would not stay valid in a CUDA graph.
extern "C" __global__ void set_taps(real *taps, long long start, real a, real b, real c, real d,
                                    real e, real f, real g, real h) {
    const real given[] = {a, b, c, d, e, f, g, h};
    for (int i = threadIdx.x; i < 8; i += blockDim.x) taps[start + i] = given[i];
}

// Where a sample beyond the ends of an axis is read, mirrored without repeating the end.
__device__ inline index_t reflected(index_t i, index_t n) {
    if (i >= 0 && i < n) return i;
    const long long period = n > 1 ? 2 * ((long long)n - 1) : 1;
    long long place = i % period;
    if (place < 0) place += period;
    return (index_t)(place < n ? place : period - place);
}

__device__ inline index_t clamped(index_t i, index_t n) { return i < 0 ? 0 : i < n ? i : n - 1; }

// Along the last axis, n pixels of one or two real numbers each, in a row of `size`. One warp goes
// through a row; blocks are of (32, any).
extern "C" __global__ void blur_rows(real *x, long long rows, long long n, long long parts,
                                     const real *__restrict__ taps, long long reach, long long held) {
    SHARED(real, window);
    real *ring = window + threadIdx.y * held;
    const index_t mask = held - 1, size = n * parts, halo = reach * parts;
    const index_t step = held < size ? held - 2 * halo : size;
    const index_t stride = (index_t)gridDim.x * blockDim.y;
    for (index_t y = (index_t)blockIdx.x * blockDim.y + threadIdx.y; y < rows; y += stride) {
        real *row = x + y * size;
        index_t loaded = 0;
        for (index_t start = 0; start < size; start += step) {
            const index_t stop = min(start + step, size), needed = min(stop + halo, size);
            for (index_t i = loaded + threadIdx.x; i < needed; i += 32) ring[i & mask] = row[i];
            loaded = needed;
            __syncwarp();
            for (index_t i = start + threadIdx.x; i < stop; i += 32) {
                real sum = taps[0] * ring[i & mask];
                if (i >= halo && i + halo < size) {
                    for (index_t j = 1, k = parts; j <= reach; ++j, k += parts)
                        sum += taps[j] * (ring[(i - k) & mask] + ring[(i + k) & mask]);
                } else {
                    const index_t pixel = i / parts, part = i % parts;
                    for (index_t j = 1; j <= reach; ++j) {
                        const index_t left = reflected(pixel - j, n), right = reflected(pixel + j, n);
                        const index_t l = left * parts + part, r = right * parts + part;
                        sum += taps[j] * (ring[l & mask] + ring[r & mask]);
                    }
                }
                row[i] = sum;
            }
            __syncwarp();
        }
    }
}

// Along the middle axis of (outer, n, inner). A block goes through as many adjacent columns as it is
// wide; a thread forms four neighbours at a time, so that what it reads serves four sums. Columns
// of the window lie in rows of 5/4 of their number: the warp's rows then use different banks.
extern "C" __global__ void blur_columns(real *x, long long outer, long long n, long long inner,
                                        const real *__restrict__ taps, long long reach, long long held,
                                        long long reflect) {
    SHARED(real, window);
    real *ring = window + threadIdx.x;
    const index_t size = n, mask = held - 1, pitch = blockDim.x + blockDim.x / 4;
    const index_t step = held < size ? (held - 2 * reach) / 4 * 4 : size;
    const index_t strips = (inner + blockDim.x - 1) / blockDim.x;
    for (index_t strip = blockIdx.x; strip < outer * strips; strip += gridDim.x) {
        const index_t column = strip % strips * blockDim.x + threadIdx.x;
        const bool inside = column < inner;
        real *top = x + strip / strips * size * inner + column;
        index_t loaded = 0;
        for (index_t start = 0; start < size; start += step) {
            const index_t stop = min(start + step, size), needed = min(stop + (index_t)reach, size);
            if (inside)
                for (index_t i = loaded + threadIdx.y; i < needed; i += blockDim.y)
                    ring[(i & mask) * pitch] = top[i * inner];
            loaded = needed;
            __syncthreads();
            for (index_t i = start + 4 * threadIdx.y; inside && i < stop; i += 4 * blockDim.y) {
                auto at = [&](index_t place) {
                    place = reflect ? reflected(place, size) : clamped(place, size);
                    return ring[(place & mask) * pitch];
                };
                real a = at(i - reach), b = at(i - reach + 1), c = at(i - reach + 2);
                real sums[4] = {0, 0, 0, 0};
                for (index_t j = -reach; j <= reach; ++j) {
                    const real d = at(i + j + 3), tap = taps[j < 0 ? -j : j];
                    sums[0] += tap * a;
                    sums[1] += tap * b;
                    sums[2] += tap * c;
                    sums[3] += tap * d;
                    a = b;
                    b = c;
                    c = d;
                }
#pragma unroll
                for (int k = 0; k < 4; ++k)
                    if (i + k < stop) top[(i + k) * inner] = sums[k];
            }
            __syncthreads();
        }
    }
}
