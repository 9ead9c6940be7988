// Exact order statistics by radix selection: eleven bits of the value at a time, from the highest,
// a histogram says which values of these bits hold the one looked for.
//
// Counts are integers, so the order in which threads add them does not matter.

#define BITS 11
#define BINS (1 << BITS)
#define EACH (BINS / THREADS)

#if SINGLE
typedef unsigned ordinal_t;
#else
typedef unsigned long long ordinal_t;
#endif
typedef unsigned long long count_t;

#define ORDINAL_BITS ((int)(8 * sizeof(ordinal_t)))
#define SIGN ((ordinal_t)1 << (ORDINAL_BITS - 1))

// What is left to look for: number `rank` among the values that begin with the bits of `prefix`.
struct range_t {
    ordinal_t prefix;
    count_t rank;
};

// An integer that orders as the values do; every NaN is the largest.
__device__ inline ordinal_t ordinal(real x, bool moduli) {
    if (x != x) return ~(ordinal_t)0;
#if SINGLE
    ordinal_t bits = __float_as_uint(x);
#else
    ordinal_t bits = (ordinal_t)__double_as_longlong(x);
#endif
    if (moduli) bits &= ~SIGN;
    return bits & SIGN ? ~bits : bits | SIGN;
}

__device__ inline real value_of(ordinal_t ordinal) {
    const ordinal_t bits = ordinal & SIGN ? ordinal & ~SIGN : ~ordinal;
#if SINGLE
    return __uint_as_float(bits);
#else
    return __longlong_as_double((long long)bits);
#endif
}

// The lowest of the bits that a pass looks at.
__device__ inline int lowest_bit(int pass) { return max(ORDINAL_BITS - BITS * (pass + 1), 0); }

// Values of rows whose masks follow each other as they do, and begin again after `period` values;
// those outside rank behind all others, as NaN does.
struct inside_t {
    const real *x;
    const unsigned char *mask;
    index_t start, period;
    __device__ real operator[](index_t i) const { return mask[(start + i) % period] ? x[i] : (real)nan(""); }
};

// Count the next bits of the values within the range, into bins that the block shares.
template <class Values>
__device__ inline void tally(Values x, index_t size, index_t first, index_t stride, bool moduli,
                             ordinal_t prefix, int pass, unsigned *bins) {
    const int shift = lowest_bit(pass);
    const ordinal_t limit = (ordinal_t)1 << (ORDINAL_BITS - BITS * pass - shift);
    // equal values in a row, as the zeros of a clipped phase, would all wait for the same bin
    unsigned bin = 0, run = 0;
    for (index_t i = first; i < size; i += 4 * stride) {
        real values[4];  // to be on their way at the same time
        for (int j = 0; j < 4; ++j) values[j] = x[i + j * stride < size ? i + j * stride : i];
        for (int j = 0; j < 4; ++j) {
            const ordinal_t next = (ordinal(values[j], moduli) ^ prefix) >> shift;
            if (i + j * stride >= size || next >= limit) continue;
            if (next != bin) {
                if (run) atomicAdd(&bins[bin], run);
                bin = (unsigned)next;
                run = 0;
            }
            ++run;
        }
    }
    if (run) atomicAdd(&bins[bin], run);
}

// Narrow the range down to the bin that the rank falls into. For a whole block of THREADS; the
// result is valid in all of them.
template <class T>
__device__ inline range_t narrow(range_t range, const T *bins, int pass) {
    __shared__ count_t warps[32];
    __shared__ range_t found;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    count_t sum = 0;
    for (int i = 0; i < EACH; ++i) sum += bins[threadIdx.x * EACH + i];
    count_t below = sum;  // running sums over the warp, then over the block
    for (int offset = 1; offset < 32; offset *= 2) {
        const count_t other = __shfl_up_sync(0xffffffffu, below, offset);
        if (lane >= offset) below += other;
    }
    if (lane == 31) warps[warp] = below;
    __syncthreads();
    for (int i = 0; i < warp; ++i) below += warps[i];
    below -= sum;
    if (below <= range.rank && range.rank < below + sum) {
        int bin = threadIdx.x * EACH;
        while (range.rank >= below + bins[bin]) below += bins[bin++];
        found = {range.prefix | (ordinal_t)bin << lowest_bit(pass), range.rank - below};
    }
    __syncthreads();
    range = found;
    __syncthreads();  // before the next call finds something else
    return range;
}

// Value number `rank` of a row, by one block.
template <class Values>
__device__ inline real selected(Values x, index_t size, count_t rank, bool moduli) {
    __shared__ unsigned bins[BINS];
    range_t range = {0, rank};
    for (int pass = 0; BITS * pass < ORDINAL_BITS; ++pass) {
        for (int i = threadIdx.x; i < BINS; i += THREADS) bins[i] = 0;
        __syncthreads();
        tally(x, size, threadIdx.x, THREADS, moduli, range.prefix, pass, bins);
        __syncthreads();
        range = narrow(range, bins, pass);
    }
    return value_of(range.prefix);
}

extern "C" __global__ void select_in_block(const real *__restrict__ x, long long rows, long long size,
                                           long long rank, long long moduli, real *found) {
    for (index_t row = blockIdx.x; row < rows; row += gridDim.x) {
        const real value = selected(x + row * size, size, rank, moduli);
        if (threadIdx.x == 0) found[row] = value;
    }
}

// What follows finds two values of each row, of the ranks that a kernel has written: x has half as
// many rows. Without a mask, and with one.
extern "C" __global__ void select_pairs(const real *__restrict__ x, long long rows, long long size,
                                        const long long *ranks, real *found) {
    for (index_t row = blockIdx.x; row < rows; row += gridDim.x) {
        const real value = selected(x + row / 2 * size, size, ranks[row], false);
        if (threadIdx.x == 0) found[row] = value;
    }
}

extern "C" __global__ void select_pairs_inside(const real *__restrict__ x, const unsigned char *mask,
                                               long long period, long long rows, long long size,
                                               const long long *ranks, real *found) {
    for (index_t row = blockIdx.x; row < rows; row += gridDim.x) {
        const index_t start = row / 2 * size;
        const inside_t values = {x + start, mask, (index_t)(start % period), (index_t)period};
        const real value = selected(values, size, ranks[row], false);
        if (threadIdx.x == 0) found[row] = value;
    }
}

// One pass over rows by `parts` blocks each. Every block finds for itself what the last pass has
// narrowed the range down to, which saves a launch; the first one leaves it to the next pass.
// `counts` is (rows, passes, BINS) and begins as zeros, `ranges` is (rows, passes, 2).
struct pass_t {
    long long row, part, parts, pass, passes;
};

template <class Values>
__device__ inline void count_part(Values x, index_t size, count_t rank, bool moduli, pass_t at,
                                  count_t *counts, count_t *ranges) {
    __shared__ unsigned bins[BINS];
    counts += (at.row * at.passes + at.pass) * BINS;
    ranges += (at.row * at.passes + at.pass) * 2;
    for (int i = threadIdx.x; i < BINS; i += THREADS) bins[i] = 0;
    range_t range = {0, rank};
    if (at.pass > 1) range = {(ordinal_t)ranges[-2], ranges[-1]};
    if (at.pass > 0) range = narrow(range, counts - BINS, at.pass - 1);
    if (at.part == 0 && threadIdx.x == 0) {
        ranges[0] = range.prefix;
        ranges[1] = range.rank;
    }
    __syncthreads();
    tally(x, size, (index_t)at.part * THREADS + threadIdx.x, (index_t)at.parts * THREADS, moduli,
          range.prefix, at.pass, bins);
    __syncthreads();
    for (int i = threadIdx.x; i < BINS; i += THREADS)
        if (bins[i]) atomicAdd(&counts[i], (count_t)bins[i]);
}

extern "C" __global__ void count(const real *__restrict__ x, long long size, long long rank, long long moduli,
                                 long long parts, long long pass, long long passes, count_t *counts,
                                 count_t *ranges) {
    const pass_t at = {blockIdx.x / parts, blockIdx.x % parts, parts, pass, passes};
    count_part(x + (index_t)(at.row * size), size, rank, moduli, at, counts, ranges);
}

// Both ranks of a row read the same part one after the other: once from memory.
extern "C" __global__ void count_pairs(const real *__restrict__ x, long long rows, long long size,
                                       const long long *ranks, long long parts, long long pass,
                                       long long passes, count_t *counts, count_t *ranges) {
    const pass_t at = {blockIdx.x % rows, blockIdx.x / rows, parts, pass, passes};
    count_part(x + (index_t)(at.row / 2 * size), size, ranks[at.row], false, at, counts, ranges);
}

extern "C" __global__ void count_pairs_inside(const real *__restrict__ x, const unsigned char *mask,
                                              long long period, long long rows, long long size,
                                              const long long *ranks, long long parts, long long pass,
                                              long long passes, count_t *counts, count_t *ranges) {
    const pass_t at = {blockIdx.x % rows, blockIdx.x / rows, parts, pass, passes};
    const index_t start = at.row / 2 * size;
    const inside_t values = {x + start, mask, (index_t)(start % period), (index_t)period};
    count_part(values, size, ranks[at.row], false, at, counts, ranges);
}

extern "C" __global__ void take(const count_t *counts, const count_t *ranges, long long passes, real *found) {
    const long long row = blockIdx.x, last = (row + 1) * passes - 1;
    const range_t range = {(ordinal_t)ranges[2 * last], ranges[2 * last + 1]};
    const range_t end = narrow(range, counts + last * BINS, passes - 1);
    if (threadIdx.x == 0) found[row] = value_of(end.prefix);
}
