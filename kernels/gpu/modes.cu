// Probe modes: powers, and orthogonalisation by way of the Gram matrix. Sums are in double.

// Most modes that one block makes orthogonal.
#define MOST_MODES 64
// Threads of that block; the bound keeps their registers within reach of every device.
#define SOLVER_THREADS 512

struct __align__(16) wide_t {
    double x, y;
};

__device__ inline wide_t times(wide_t a, wide_t b) {
    return {a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x};
}

__device__ inline wide_t conjugate(wide_t a) { return {a.x, -a.y}; }

__device__ inline double squared(wide_t a) { return a.x * a.x + a.y * a.y; }

// Σ|P|² of each mode over the pixels of each block: `powers` is (modes, blocks).
extern "C" __global__ void block_powers(const complex_t *probe, long long modes, long long pixels,
                                        double *powers) {
    for (index_t m = blockIdx.y; m < modes; m += gridDim.y) {
        const complex_t *mode = probe + m * (index_t)pixels;
        double sum = 0;
        for (index_t i = first_index(); i < pixels; i += grid_stride()) {
            const double x = mode[i].x, y = mode[i].y;
            sum += x * x + y * y;
        }
        sum = block_sum(sum);
        if (threadIdx.x == 0) powers[m * gridDim.x + blockIdx.x] = sum;
    }
}

// Sum of the blocks of each mode: one warp a mode.
extern "C" __global__ void add_powers(const double *parts, long long modes, long long blocks,
                                      double *powers) {
    const index_t warp = first_index() / 32, warps = grid_stride() / 32;
    for (index_t m = warp; m < modes; m += warps) {
        double sum = 0;
        for (index_t i = threadIdx.x % 32; i < blocks; i += 32) sum += parts[m * blocks + i];
        sum = warp_sum(sum);
        if (threadIdx.x % 32 == 0) powers[m] = sum;
    }
}

// √intensity/√Σ (the quotient by itself could overflow), 1 where there is no power, by one block.
extern "C" __global__ void find_scale(const double *parts, long long number, double intensity, double *scale) {
    double total = 0;
    for (index_t i = threadIdx.x; i < number; i += blockDim.x) total += parts[i];
    total = block_sum(total);
    if (threadIdx.x > 0) return;
    double factor = total != 0 ? sqrt(intensity) / sqrt(total) : 1.0;
    if (isinf(total)) factor = total - total;  // NaN: an overflow must not become a silent zero
    *scale = factor;
}

// The product in double: a probe of 1e-40 fits into float, its factor does not.
extern "C" __global__ void scale_modes(complex_t *probe, long long size, const double *scale) {
    const double factor = *scale;
    for (index_t i = first_index(); i < size; i += grid_stride()) {
        probe[i].x = (real)(probe[i].x * factor);
        probe[i].y = (real)(probe[i].y * factor);
    }
}

// Tile `q` of the lower triangle of a matrix of 2×2 tiles.
__device__ inline void find_tile(int q, int &row, int &column) {
    row = 0;
    while (q > row) q -= ++row;
    column = q;
}

// Σ P_i conj(P_j) over the pixels of each block, for tiles of 2×2 pairs of modes: a thread adds up
// four products for every four values that it reads. `parts` is (blocks, tiles, 4).
//
// `width` pixels of all modes at a time, a power of two, lie in shared memory as doubles, so that
// each is converted once; pixel by pixel, with one number of padding, so that the threads of a warp,
// which differ in the pair, read neighbouring numbers. Where there are fewer tiles than threads,
// groups of threads share the pixels.
extern "C" __global__ void block_overlaps(const complex_t *probe, long long number, long long pixels,
                                          long long tile_width, wide_t *parts) {
    SHARED(wide_t, tile);
    const int modes = (int)number, width = (int)tile_width;
    const int halves = (modes + 1) / 2, pitch = 2 * halves + 1;
    const int tiles = halves * (halves + 1) / 2;
    const int per_block = min(tiles, THREADS), groups = THREADS / per_block;
    const int q = blockIdx.y * THREADS + threadIdx.x % per_block, group = threadIdx.x / per_block;
    const bool busy = group < groups && q < tiles;
    int row = 0, column = 0;
    if (busy) find_tile(q, row, column);

    wide_t sum[4] = {};
    const index_t stride = gridDim.x * (index_t)width;
    for (index_t start = blockIdx.x * (index_t)width; start < pixels; start += stride) {
        __syncthreads();  // the last tile has been read
        const index_t pixel = start + threadIdx.x % width;
        for (int m = threadIdx.x / width; m < 2 * halves; m += THREADS / width) {
            const bool inside = m < modes && pixel < pixels;
            const complex_t value = inside ? probe[m * (index_t)pixels + pixel] : complex_t{0, 0};
            tile[threadIdx.x % width * pitch + m] = {(double)value.x, (double)value.y};
        }
        __syncthreads();
        if (!busy) continue;
        for (int i = group; i < width; i += groups) {
            const wide_t *a = tile + i * pitch + 2 * row, *b = tile + i * pitch + 2 * column;
            for (int k = 0; k < 4; ++k) {
                const wide_t left = a[k / 2], right = b[k % 2];
                sum[k].x += left.x * right.x + left.y * right.y;
                sum[k].y += left.y * right.x - left.x * right.y;
            }
        }
    }

    // the groups' sums, halving their number
    __syncthreads();
    for (int k = 0; k < 4; ++k) tile[threadIdx.x * 4 + k] = sum[k];
    for (int left = groups; left > 1; left = (left + 1) / 2) {
        __syncthreads();
        const int other = group + (left + 1) / 2;
        if (other >= left) continue;
        for (int k = 0; k < 4; ++k) {
            const wide_t value = tile[(threadIdx.x + (left + 1) / 2 * per_block) * 4 + k];
            wide_t &target = tile[threadIdx.x * 4 + k];
            target = {target.x + value.x, target.y + value.y};
        }
    }
    if (group > 0 || q >= tiles) return;
    for (int k = 0; k < 4; ++k)
        parts[(blockIdx.x * (index_t)tiles + q) * 4 + k] = tile[threadIdx.x * 4 + k];
}

// The Gram matrix out of the blocks' sums: one warp an entry.
extern "C" __global__ void add_overlaps(const wide_t *parts, long long number, long long blocks,
                                        wide_t *gram) {
    const int modes = (int)number, halves = (modes + 1) / 2, tiles = halves * (halves + 1) / 2;
    const int lane = threadIdx.x % 32, warps = gridDim.x * (THREADS / 32);
    for (int e = (blockIdx.x * THREADS + threadIdx.x) / 32; e < 4 * tiles; e += warps) {
        wide_t sum = {0, 0};
        for (int b = lane; b < blocks; b += 32) {
            const wide_t part = parts[b * (index_t)(4 * tiles) + e];
            sum = {sum.x + part.x, sum.y + part.y};
        }
        sum = {warp_sum(sum.x), warp_sum(sum.y)};
        int row, column;
        find_tile(e / 4, row, column);
        const int i = 2 * row + e % 4 / 2, j = 2 * column + e % 2;
        if (lane > 0 || i >= modes || j > i) continue;  // above the diagonal is what is below it
        if (i == j) sum.y = sum.y - sum.y;  // 0 or NaN
        gram[i * modes + j] = sum;
        if (i != j) gram[j * modes + i] = conjugate(sum);
    }
}

// A Jacobi rotation of rows and columns `first` and `second`, that makes their overlap zero.
struct jacobi_t {
    wide_t sine;  // times the phase of the overlap
    double cosine, exchanged;
    int first, second;
};

// Overlaps that count as zero: relative to the powers, and to the trace, which is 1. The second is
// far below what an eigensolver resolves, and ends the search among modes without power.
#define SMALL_OVERLAP 2.2e-16
#define NO_OVERLAP 1e-20

__device__ inline bool find_rotation(const wide_t *a, int n, jacobi_t &rotation) {
    const double p = a[rotation.first * n + rotation.first].x;
    const double q = a[rotation.second * n + rotation.second].x;
    const wide_t overlap = a[rotation.first * n + rotation.second];
    const double square = squared(overlap);
    rotation.cosine = 1;
    rotation.exchanged = 0;
    rotation.sine = {0, 0};
    if (square <= SMALL_OVERLAP * SMALL_OVERLAP * fabs(p * q) || square <= NO_OVERLAP * NO_OVERLAP)
        return false;
    // By the double angle, cos 2θ = |q - p|/h and sin 2θ = 2|overlap|/h: two reciprocal roots, and no
    // root or division. In double these take some hundred cycles each, one after the other, and
    // the threads of a step wait for them: six of them were most of a step's time.
    const double gap = q - p, inverse = rsqrt(gap * gap + 4 * square);
    const double squared_cosine = 0.5 + 0.5 * fabs(gap) * inverse, secant = rsqrt(squared_cosine);
    const double weight = copysign(inverse * secant, gap);
    rotation.cosine = squared_cosine * secant;
    rotation.exchanged = square * weight * secant;
    rotation.sine = {weight * overlap.x, weight * overlap.y};
    return true;
}

// Two numbers of a row, in the two columns of a rotation.
__device__ inline void rotate_columns(const jacobi_t &by, wide_t &x, wide_t &y) {
    const wide_t from_y = times(conjugate(by.sine), y), from_x = times(by.sine, x);
    x = {by.cosine * x.x - from_y.x, by.cosine * x.y - from_y.y};
    y = {by.cosine * y.x + from_x.x, by.cosine * y.y + from_x.y};
}

// Two numbers of a column, in the two rows of a rotation.
__device__ inline void rotate_rows(const jacobi_t &by, wide_t &x, wide_t &y) {
    const wide_t from_y = times(by.sine, y), from_x = times(conjugate(by.sine), x);
    x = {by.cosine * x.x - from_y.x, by.cosine * x.y - from_y.y};
    y = {by.cosine * y.x + from_x.x, by.cosine * y.y + from_x.y};
}

// Diagonalise a Hermitian n×n matrix, n even, by cyclic Jacobi rotations; the columns of `v` become
// its eigenvectors. All n/2 rotations of a step are of other rows, in the order of a round-robin
// tournament, and each 2×2 block of the matrix is rotated from both sides by one thread.
__device__ inline void diagonalise(wide_t *a, wide_t *v, int n) {
    __shared__ jacobi_t rotations[MOST_MODES / 2];
    __shared__ int rotated;
    const int pairs = n / 2, blocks = pairs * pairs;
    for (int sweep = 0; sweep < 40; ++sweep) {  // some 6 to 10 are needed
        if (threadIdx.x == 0) rotated = 0;
        for (int step = 0; step < n - 1; ++step) {
            __syncthreads();
            if (threadIdx.x < pairs) {
                const int k = threadIdx.x;
                const int one = k == 0 ? n - 1 : (step + k) % (n - 1);
                const int other = (step - k + n - 1) % (n - 1);
                rotations[k].first = min(one, other);
                rotations[k].second = max(one, other);
                if (find_rotation(a, n, rotations[k])) rotated = 1;
            }
            __syncthreads();
            for (int e = threadIdx.x; e < blocks + n * pairs; e += blockDim.x) {
                const jacobi_t &by = rotations[e % pairs];
                if (e >= blocks) {
                    if (by.exchanged == 0) continue;
                    wide_t *vector = v + (e - blocks) / pairs * n;
                    rotate_columns(by, vector[by.first], vector[by.second]);
                    continue;
                }
                const jacobi_t &across = rotations[e / pairs];
                if (by.exchanged == 0 && across.exchanged == 0) continue;
                wide_t *first = a + across.first * n, *second = a + across.second * n;
                if (e / pairs == e % pairs) {
                    first[by.first] = {first[by.first].x - by.exchanged, 0};
                    second[by.second] = {second[by.second].x + by.exchanged, 0};
                    first[by.second] = second[by.first] = {0, 0};
                    continue;
                }
                rotate_columns(by, first[by.first], first[by.second]);
                rotate_columns(by, second[by.first], second[by.second]);
                rotate_rows(across, first[by.first], second[by.first]);
                rotate_rows(across, first[by.second], second[by.second]);
            }
        }
        __syncthreads();
        const bool settled = rotated == 0;
        __syncthreads();
        if (settled) return;
    }
}

// The unitary whose rows are the eigenvectors of the Gram matrix, sorted by power and with their
// phases fixed, as `arraycon.kernels.agnostic.modes.unitary` has it; by one block. Moduli that differ
// by less than `tie` count as equal, and so do powers next to `empty` times the strongest.
extern "C" __global__ void __launch_bounds__(SOLVER_THREADS)
find_unitary(const wide_t *gram, long long number, double noise, double tie, double empty,
             complex_t *unitary) {
    SHARED(wide_t, a);
    __shared__ double power[MOST_MODES], ranked[MOST_MODES];
    __shared__ int dominant[MOST_MODES], order[MOST_MODES], group[MOST_MODES];
    const int modes = (int)number, n = modes + modes % 2;  // with an idle mode in an odd number
    wide_t *v = a + n * n;

    for (int i = threadIdx.x; i < modes; i += blockDim.x) power[i] = gram[i * modes + i].x;
    __syncthreads();
    double total = 0;
    for (int i = 0; i < modes; ++i) total += power[i];
    if (!isfinite(total)) {
        const real nan = (real)(total - total);
        for (int e = threadIdx.x; e < modes * modes; e += blockDim.x) unitary[e] = {nan, nan};
        return;
    }
    for (int e = threadIdx.x; e < n * n; e += blockDim.x) {
        const int i = e / n, j = e % n;
        v[e] = {i == j ? 1.0 : 0.0, 0};
        a[e] = total > 0 ? wide_t{0, 0} : v[e];
        if (!(total > 0) || i >= modes || j >= modes) continue;
        const wide_t overlap = gram[i * modes + j];
        // equally strong modes would be mixed at random by overlaps below the noise
        if (i == j || hypot(overlap.x, overlap.y) > noise * sqrt(power[i]) * sqrt(power[j]))
            a[e] = {overlap.x / total, overlap.y / total};
    }
    diagonalise(a, v, n);
    __syncthreads();

    for (int i = threadIdx.x; i < modes; i += blockDim.x) {
        power[i] = a[i * n + i].x;
        double largest = 0;
        for (int j = 0; j < modes; ++j) largest = max(largest, squared(v[j * n + i]));
        int j = 0;
        while (j < modes - 1 && squared(v[j * n + i]) < (1 - tie) * largest) ++j;
        dominant[i] = j;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < modes; i += blockDim.x) {
        int rank = 0;
        for (int j = 0; j < modes; ++j)
            rank += power[j] > power[i] || (power[j] == power[i] && j < i);
        ranked[rank] = power[i];
        order[rank] = i;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        group[0] = 0;
        for (int i = 1; i < modes; ++i) {
            const bool gap = ranked[i - 1] - ranked[i] > noise * (ranked[i - 1] + empty * ranked[0]);
            group[i] = group[i - 1] + gap;
        }
    }
    __syncthreads();
    // equal powers keep the order of the modes that dominate them
    for (int e = threadIdx.x; e < modes * modes; e += blockDim.x) {
        const int i = e / modes, source = order[i], key = group[i] * modes + dominant[source];
        int place = 0;
        for (int j = 0; j < modes; ++j) {
            const int other = group[j] * modes + dominant[order[j]];
            place += other < key || (other == key && j < i);
        }
        const wide_t leading = v[dominant[source] * n + source];
        const double modulus = sqrt(squared(leading));
        const wide_t entry = times(conjugate(v[e % modes * n + source]), leading);
        unitary[place * modes + e % modes] = {(real)(entry.x / modulus), (real)(entry.y / modulus)};
    }
}

// Replace the modes by their mix with a matrix, `width` pixels (a power of two) at a time; not if it
// is the identity, which is the usual case after the first iteration. A thread computes four modes
// of a pixel for every value that it reads; the weights, the same for a whole warp, come from the
// cache.
extern "C" __global__ void mix_modes(complex_t *probe, long long number, long long pixels,
                                     long long tile_width, const complex_t *weights) {
    SHARED(complex_t, tile);
    __shared__ int changes;
    const int modes = (int)number, width = (int)tile_width;
    if (threadIdx.x == 0) changes = 0;
    __syncthreads();
    for (int e = threadIdx.x; e < modes * modes; e += THREADS) {
        const complex_t weight = weights[e];
        if (weight.x != (e % (modes + 1) == 0) || weight.y != 0) changes = 1;
    }
    __syncthreads();
    if (!changes) return;

    const int column = threadIdx.x % width, group = threadIdx.x / width, groups = THREADS / width;
    const index_t stride = gridDim.x * (index_t)width;
    for (index_t start = blockIdx.x * (index_t)width; start < pixels; start += stride) {
        const index_t pixel = start + column;
        const bool inside = pixel < pixels;
        __syncthreads();  // the last tile has been read
        for (int m = group; m < modes && inside; m += groups)
            tile[m * width + column] = probe[m * (index_t)pixels + pixel];
        __syncthreads();
        for (int first = 4 * group; first < modes && inside; first += 4 * groups) {
            complex_t sum[4] = {};
            for (int j = 0; j < modes; ++j) {
                const complex_t value = tile[j * width + column];
                for (int k = 0; k < 4; ++k) {
                    // beyond the last mode that one again, which is not written
                    const complex_t weight = weights[min(first + k, modes - 1) * modes + j];
                    sum[k].x += weight.x * value.x - weight.y * value.y;
                    sum[k].y += weight.x * value.y + weight.y * value.x;
                }
            }
            for (int k = 0; k < 4; ++k)
                if (first + k < modes) probe[(first + k) * (index_t)pixels + pixel] = sum[k];
        }
    }
}
