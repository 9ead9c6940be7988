// The depth filter. Spectra are those of real transforms over the lateral axes, of nx/2 + 1 columns,
// which neither cuFFT nor these kernels normalise but by the factor they are given.

// Along z, even and odd parts about one slice (or, for the mirrored object, about the middle) are
// transformed apart, with half the slices and half the frequencies each: n-th pair of slices, k-th
// frequency of either part, rows and columns padded to a multiple of four.
struct __align__(16) quad_t {
    real v[4];
};

// The bases, in the order: even and odd parts by slice, even and odd parts by frequency.
extern "C" __global__ void depth_bases(real *bases, long long nz, long long pairs, long long padded,
                                       long long mirror) {
    const index_t size = pairs * padded;
    for (index_t i = first_index(); i < size; i += grid_stride()) {
        const index_t row = i / padded, column = i % padded;
        for (int inverse = 0; inverse < 2; ++inverse) {
            const long long k = inverse ? row : column, n = inverse ? column : row;
            double even = 0, odd = 0, unused;
            if (column < pairs && mirror) {
                sincospi(2 * k * (2 * n + 1) % (4 * nz) / (2.0 * nz), &unused, &even);
                sincospi((2 * k + 1) * (2 * n + 1) % (4 * nz) / (2.0 * nz), &unused, &odd);
            } else if (column < pairs) {
                sincospi(2 * (k * n % nz) / (double)nz, &odd, &even);
            }
            bases[2 * inverse * size + i] = even;
            bases[(2 * inverse + 1) * size + i] = odd;
        }
    }
}

// Four rows of a basis times the vectors of one column each: even and odd parts.
struct parts_t {
    complex_t even[4], odd[4];
};

__device__ inline parts_t product(const real *__restrict__ bases, index_t size, int padded, int pairs,
                                  const complex_t *even, const complex_t *odd) {
    parts_t sum = {};
    for (int i = 0; i < pairs; ++i) {
        const int place = i * padded + 4 * threadIdx.y;
        const quad_t b = *reinterpret_cast<const quad_t *>(bases + place);
        const quad_t c = *reinterpret_cast<const quad_t *>(bases + size + place);
        const complex_t e = even[i * blockDim.x], o = odd[i * blockDim.x];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            sum.even[j].x += b.v[j] * e.x;
            sum.even[j].y += b.v[j] * e.y;
            sum.odd[j].x += c.v[j] * o.x;
            sum.odd[j].y += c.v[j] * o.y;
        }
    }
    return sum;
}

// Transform columns in depth, multiply by Wa and transform back, in shared memory. A block holds as
// many adjacent columns as it is wide, and has a thread for each of them and four pairs of slices.
// `offset` is added to every voxel, by way of the lateral frequency 0.
extern "C" __global__ void __launch_bounds__(THREADS) filter_depth(
    complex_t *spectrum, long long nz, long long ny, long long nx, long long mirror,
    const real *__restrict__ bases, double beta2, double alpha, double factor, double offset) {
    SHARED(complex_t, parts);
    const int pairs = mirror ? (nz + 1) / 2 : nz / 2 + 1, padded = (pairs + 3) / 4 * 4;
    const int first = 4 * threadIdx.y, size = pairs * padded;
    complex_t *even = parts + threadIdx.x, *odd = even + pairs * blockDim.x;
    const index_t plane = ny * (nx / 2 + 1);
    for (index_t start = (index_t)blockIdx.x * blockDim.x; start < plane; start += grid_stride()) {
        const index_t column = start + threadIdx.x;
        const bool inside = column < plane;
        complex_t *top = spectrum + column;
        for (int n = threadIdx.y; inside && n < pairs; n += blockDim.y) {
            const index_t partner = mirror ? nz - 1 - n : n ? nz - n : 0;
            const complex_t upper = top[n * plane];
            if (partner == n) {
                even[n * blockDim.x] = upper;
                odd[n * blockDim.x] = {0, 0};
            } else {
                const complex_t lower = top[partner * plane];
                even[n * blockDim.x] = {upper.x + lower.x, upper.y + lower.y};
                odd[n * blockDim.x] = {upper.x - lower.x, upper.y - lower.y};
            }
        }
        __syncthreads();
        parts_t sum = {};
        if (inside) sum = product(bases, size, padded, pairs, even, odd);
        __syncthreads();
        if (inside) {
            const wedge_t filter = wedge(column, ny, nx, beta2, alpha, 2 * factor / nz);
            for (int j = 0; j < 4 && first + j < pairs; ++j) {
                const int k = first + j;
                // the others stand for two frequencies, k and -k
                const bool alone = k == 0 || (!mirror && 2 * k == nz);
                const real weight = filter.at((double)k / nz);
                const real odd_weight = mirror ? filter.at((2 * k + 1) / (2.0 * nz)) : weight;
                const real even_weight = alone ? weight / 2 : weight;
                even[k * blockDim.x] = {even_weight * sum.even[j].x, even_weight * sum.even[j].y};
                odd[k * blockDim.x] = {odd_weight * sum.odd[j].x, odd_weight * sum.odd[j].y};
            }
        }
        __syncthreads();
        if (inside) {
            sum = product(bases + 2 * size, size, padded, pairs, even, odd);
            for (int j = 0; j < 4 && first + j < pairs; ++j) {
                const int n = first + j;
                const index_t partner = mirror ? nz - 1 - n : n ? nz - n : 0;
                complex_t e = sum.even[j], o = sum.odd[j];
                if (column == 0) e.x += offset;
                top[n * plane] = {e.x + o.x, e.y + o.y};
                if (partner != n) top[partner * plane] = {e.x - o.x, e.y - o.y};
            }
        }
        __syncthreads();  // before the next columns come
    }
}

// Columns that do not fit in shared memory are laid side by side and transformed by cuFFT. The
// mirrored object's cosine transform takes the even slices upwards and then the odd ones downwards.
__device__ inline index_t slice_at(index_t place, index_t nz, bool mirror) {
    if (!mirror) return place;
    return 2 * place < nz ? 2 * place : 2 * (nz - 1 - place) + 1;
}

// Tiles of 32×32 go through shared memory, so that both sides are read or written in rows.
__device__ inline void exchange_columns(complex_t *spectrum, complex_t *columns, index_t nz, index_t plane,
                                        index_t first, index_t number, bool mirror, bool to_columns) {
    __shared__ real re[32][33], im[32][33];
    const index_t across = (number + 31) / 32, tiles = across * ((nz + 31) / 32);
    for (index_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const index_t left = tile % across * 32, above = tile / across * 32;
        for (int pass = 0; pass < 2; ++pass) {
            const bool in_spectrum = (pass == 0) == to_columns;
            for (int i = threadIdx.y; i < 32; i += blockDim.y) {
                const int j = threadIdx.x;
                const index_t column = left + (in_spectrum ? j : i), place = above + (in_spectrum ? i : j);
                if (column >= number || place >= nz) continue;
                complex_t &value = in_spectrum
                                       ? spectrum[slice_at(place, nz, mirror) * plane + first + column]
                                       : columns[column * nz + place];
                if (pass == 0) {
                    re[i][j] = value.x;
                    im[i][j] = value.y;
                } else {
                    value = {re[j][i], im[j][i]};
                }
            }
            __syncthreads();
        }
    }
}

extern "C" __global__ void gather_columns(complex_t *spectrum, complex_t *columns, long long nz,
                                          long long plane, long long first, long long number,
                                          long long mirror) {
    exchange_columns(spectrum, columns, nz, plane, first, number, mirror, true);
}

extern "C" __global__ void scatter_columns(complex_t *spectrum, complex_t *columns, long long nz,
                                           long long plane, long long first, long long number,
                                           long long mirror) {
    exchange_columns(spectrum, columns, nz, plane, first, number, mirror, false);
}

__device__ inline complex_t scaled(real weight, complex_t a) { return {weight * a.x, weight * a.y}; }

// exp(i·pi·turn)
__device__ inline complex_t phasor(real turn) {
    complex_t p;
#if SINGLE
    sincospif(turn, &p.y, &p.x);
#else
    sincospi(turn, &p.y, &p.x);
#endif
    return p;
}

// Multiply columns' spectra by Wa. The mirrored object's cosine transform X comes from the Fourier
// transform V of the reordered slices, for complex numbers too, in pairs of k and l = nz - k: with
// p = exp(i·pi·k/2nz), 2·X_k = p*·V_k + p·V_l and 2·X_l = i·(p*·V_k - p·V_l); back,
// V_k = p·(X_k - i·X_l) and V_l = p*·(X_k + i·X_l).
extern "C" __global__ void filter_columns(complex_t *columns, long long nz, long long ny, long long nx,
                                          long long first, long long number, long long mirror, double beta2,
                                          double alpha, double factor, double offset) {
    const index_t half = nz / 2 + 1, size = number * half;
    for (index_t i = first_index(); i < size; i += grid_stride()) {
        const index_t column = i / half, k = i % half, l = nz - k;
        const wedge_t filter = wedge(first + column, ny, nx, beta2, alpha, factor / nz);
        complex_t *line = columns + column * nz;
        const complex_t v = line[k];
        const real weight = filter.at(mirror ? k / (2.0 * nz) : (double)k / nz);
        if (k == 0) {
            line[0] = scaled(weight, v);
            if (first + column == 0) line[0].x += offset;
        } else if (l == k) {
            line[k] = scaled(weight, v);
        } else if (!mirror) {
            line[k] = scaled(weight, v);
            line[l] = scaled(weight, line[l]);
        } else {
            const complex_t p = phasor((real)k / (2 * nz)), w = line[l];
            const complex_t a = {p.x * v.x + p.y * v.y, p.x * v.y - p.y * v.x};
            const complex_t b = {p.x * w.x - p.y * w.y, p.x * w.y + p.y * w.x};
            const complex_t x = scaled(weight / 2, {a.x + b.x, a.y + b.y});
            // i times the other of the pair, -(a - b)/2, times its weight
            const complex_t y = scaled(-filter.at(l / (2.0 * nz)) / 2, {a.x - b.x, a.y - b.y});
            const complex_t sum = {x.x + y.x, x.y + y.y}, rest = {x.x - y.x, x.y - y.y};
            line[k] = {p.x * rest.x - p.y * rest.y, p.x * rest.y + p.y * rest.x};
            line[l] = {p.x * sum.x + p.y * sum.y, p.x * sum.y - p.y * sum.x};
        }
    }
}
