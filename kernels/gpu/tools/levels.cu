// Levels of planes, and what follows from them, without a word to the host.

struct ones_t {
    __device__ real operator[](index_t) const { return 1; }
};

// Σ w·x or, where squares are asked for, Σ w·x², and Σ w of each plane, by `parts` blocks each: sums
// are (planes, parts, 2). Plane p has the weights p % masks.
template <class Values, class Weights>
__device__ inline void add_planes(Values x, Weights weights, long long masks, long long planes, long long plane,
                                  long long parts, bool squares, double *sums) {
    for (index_t task = blockIdx.x; task < planes * parts; task += gridDim.x) {
        const index_t p = task / (index_t)parts, part = task % (index_t)parts;
        const index_t first = p * plane;
        const Weights own = weights + (index_t)(p % masks * plane);
        double total = 0, whole = 0;
        for (index_t i = part * THREADS + threadIdx.x; i < plane; i += (index_t)parts * THREADS) {
            const double value = x[first + i], weight = own[i];
            total += weight * (squares ? value * value : value);
            whole += weight;
        }
        total = block_sum(total);
        whole = block_sum(whole);
        if (threadIdx.x == 0) {
            sums[2 * task] = total;
            sums[2 * task + 1] = whole;
        }
    }
}

extern "C" __global__ void add(const real *__restrict__ x, long long planes, long long plane, long long parts,
                               long long squares, double *sums) {
    add_planes(x, everywhere_t(), 1, planes, plane, parts, squares, sums);
}

extern "C" __global__ void add_mask(const real *__restrict__ x, const unsigned char *mask, long long masks,
                                    long long planes, long long plane, long long parts, long long squares,
                                    double *sums) {
    add_planes(x, mask, masks, planes, plane, parts, squares, sums);
}

extern "C" __global__ void add_weights(const real *__restrict__ x, const real *weights, long long masks,
                                       long long planes, long long plane, long long parts, long long squares,
                                       double *sums) {
    add_planes(x, weights, masks, planes, plane, parts, squares, sums);
}

// How many values each mask has inside: the second of its sums.
extern "C" __global__ void count_inside(const unsigned char *mask, long long masks, long long plane,
                                        long long parts, double *sums) {
    add_planes(ones_t(), mask, masks, masks, plane, parts, false, sums);
}

// What a phase loses, or an amplitude is divided by, relaxed: x·factor - offset.
__device__ inline void correction(double level, bool known, bool amplitude, double power, double relax,
                                  double *result) {
    const bool usable = known && !(level <= 0);  // NaN is, so that it stays visible
    result[0] = amplitude ? relax + (1 - relax) / (usable ? pow(level, power) : 1) : 1;
    result[1] = !amplitude && known ? (1 - relax) * power * level : 0;
}

// Means of groups of `parts` sums, by one block for each.
extern "C" __global__ void by_means(const double *sums, long long groups, long long parts, long long amplitude,
                                    double power, double relax, double *corrections) {
    for (index_t group = blockIdx.x; group < groups; group += gridDim.x) {
        const double *own = sums + 2 * group * parts;
        double total = 0, whole = 0;
        for (index_t i = threadIdx.x; i < parts; i += blockDim.x) {
            total += own[2 * i];
            whole += own[2 * i + 1];
        }
        total = block_sum(total);
        whole = block_sum(whole);
        const bool known = whole != 0;
        if (threadIdx.x == 0)
            correction(total / (known ? whole : 1), known, amplitude, power, relax, corrections + 2 * group);
    }
}

// Between which ranks a percentile lies, and how far from the lower one: ranks (groups, 2) and shares,
// which are negative where there are no values. Of a group there are `size` values or, with masks,
// `repeats` times those inside the `parts` sums of mask group % masks.
extern "C" __global__ void place_percentiles(const double *sums, long long groups, long long masks,
                                             long long parts, double repeats, double size, double percentile,
                                             long long *ranks, double *shares) {
    for (index_t group = blockIdx.x; group < groups; group += gridDim.x) {
        double number = 0;
        for (index_t i = threadIdx.x; i < parts; i += blockDim.x)
            number += sums[2 * (group % masks * parts + i) + 1];
        number = masks > 0 ? block_sum(number) * repeats : size;
        if (threadIdx.x > 0) continue;
        const double last = max(number - 1, 0.0), position = percentile / 100 * last, low = floor(position);
        ranks[2 * group] = low;
        ranks[2 * group + 1] = min(low + 1, last);
        shares[group] = number > 0 ? position - low : -1;
    }
}

extern "C" __global__ void by_percentiles(const real *found, const double *shares, long long groups,
                                          long long amplitude, double power, double relax, double *corrections) {
    for (index_t group = first_index(); group < groups; group += grid_stride()) {
        const double share = shares[group], below = found[2 * group], above = found[2 * group + 1];
        // no difference of infinities where it does not count
        const double level = share > 0 ? below + share * (above - below) : below;
        correction(level, share >= 0, amplitude, power, relax, corrections + 2 * group);
    }
}
