// What every kernel file begins with, behind a preamble that defines `real` (float or double) and
// `index_t` (int, or long long where an array is longer than 2^31).
//
// Conventions: integers come as `long long`, real numbers as `real` or, where they are sums or
// angles, as `double`; arrays are C-contiguous. Kernels over elements go through the array in
// strides of the grid, so that any grid is right. No kernel waits for another block.

// Shared memory whose size the launch decides: ARRAY points to `shared_mem` bytes.
#ifndef SHARED
#define SHARED(type, array)                                   \
    extern __shared__ __align__(16) unsigned char shared_raw[]; \
    type *array = reinterpret_cast<type *>(shared_raw)
#endif

struct __align__(2 * sizeof(real)) complex_t {
    real x, y;
};

__device__ inline index_t first_index() { return (index_t)blockIdx.x * blockDim.x + threadIdx.x; }

__device__ inline index_t grid_stride() { return (index_t)gridDim.x * blockDim.x; }

// max, min and clip let NaN through, which the built-in functions drop.
__device__ inline real raise_to(real low, real x) { return x < low ? low : x; }

__device__ inline real lower_to(real high, real x) { return x > high ? high : x; }

__device__ inline real smaller(real a, real b) { return b < a || b != b ? b : a; }

__device__ inline double warp_sum(double value) {
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(0xffffffffu, value, offset);
    return value;
}

// Sum over the threads of a one-dimensional block whose size is a multiple of 32; the result is
// valid in thread 0. May be called several times in a row.
__device__ inline double block_sum(double value) {
    __shared__ double sums[32];
    value = warp_sum(value);
    __syncthreads();  // the last call's sums have been read
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
    __syncthreads();
    if (threadIdx.x < 32) value = warp_sum(threadIdx.x < blockDim.x / 32 ? sums[threadIdx.x] : 0.0);
    return value;
}

// Sums over a block of Σ|new - old|² and Σ|old|², to one place for each block: `changed` and `before`
// are added up in a fixed order afterwards, so that they do not depend on who is first.
__device__ inline void store_change(double difference, double old, double *changed, double *before) {
    difference = block_sum(difference);
    old = block_sum(old);
    if (threadIdx.x == 0) {
        changed[blockIdx.x] = difference;
        before[blockIdx.x] = old;
    }
}

// Both sums of what one thread changes.
struct change_t {
    double difference, old;
    __device__ void add(double now, double value) {
        difference += (now - value) * (now - value);
        old += value * value;
    }
};

// Change every element in place, in pieces of 16 bytes between what lies before the first and behind
// the last piece: a clip by single floats took 1.21 times as long as a copy.
template <class Change>
__device__ inline void change_each(real *x, index_t size, Change change) {
    struct __align__(16) piece_t {
        real values[16 / sizeof(real)];
    };
    const index_t each = 16 / sizeof(real);
    const index_t past = (index_t)(reinterpret_cast<unsigned long long>(x) / sizeof(real) % each);
    const index_t lead = min(size, past ? each - past : 0), pieces = (size - lead) / each;
    const index_t rest = lead + pieces * each;
    piece_t *aligned = reinterpret_cast<piece_t *>(x + lead);
    for (index_t i = first_index(); i < pieces; i += grid_stride()) {
        piece_t piece = aligned[i];
#pragma unroll
        for (int j = 0; j < each; ++j) piece.values[j] = change(piece.values[j]);
        aligned[i] = piece;
    }
    for (index_t i = first_index(); i < lead + size - rest; i += grid_stride()) {
        real &value = x[i < lead ? i : rest + i - lead];
        value = change(value);
    }
}
