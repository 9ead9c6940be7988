// Total variation of the object: one pass for each update of the dual variable.
//
// A thread forms the object less what the dual variable takes from it, u, at its own voxel and at
// the next one along each axis. So an update reads old values that other threads would overwrite,
// and goes from one array into another; they take turns. u in an array of its own would save that
// memory, and cost a pass: 13 numbers to move for each pixel of a slice instead of 7.
//
// Voxels are of PARTS real numbers, 2 for complex ones. The dual variable is (axes, voxels, PARTS),
// for those axes alone that have a weight, in the object's unit: its moduli are at most `strength`.

#ifndef PARTS
#define PARTS 1
#endif

// Sizes of an item, a slice or a volume, and of all items; weights of z, y, x, 0 where there is none;
// how axes are grouped: 0 all together, 1 z apart, 2 each apart.
#define GEOMETRY                                                                         \
    long long items, long long nz, long long ny, long long nx, real wz, real wy, real wx, \
        long long norm
#define GIVEN items, nz, ny, nx, wz, wy, wx, norm

struct geometry_t {
    index_t sizes[3], strides[3], slots[3], voxels;
    real weights[3];
    int norm;

    __device__ geometry_t(GEOMETRY) : norm((int)norm) {
        sizes[0] = nz, sizes[1] = ny, sizes[2] = nx;
        strides[0] = ny * nx, strides[1] = nx, strides[2] = 1;
        weights[0] = wz, weights[1] = wy, weights[2] = wx;
        voxels = items * nz * ny * nx;
        slots[0] = 0, slots[1] = wz > 0 ? voxels : 0, slots[2] = slots[1] + (wy > 0 ? voxels : 0);
    }
    __device__ int group(int axis) const { return norm == 0 ? 0 : norm == 1 ? axis > 0 : axis; }
};

// A voxel's place along the axes.
struct place_t {
    index_t at[3];

    __device__ place_t(index_t i, const geometry_t &g) {
        at[2] = i % g.sizes[2];
        at[1] = i / g.strides[1] % g.sizes[1];
        at[0] = i / g.strides[0] % g.sizes[0];
    }
};

// The dual variable as an update finds it: beyond what the one before has reached, by a part of the
// step that led there. A part of 0 reads no array that nobody has written to yet.
struct dual_t {
    const real *now, *before;
    real momentum;
    bool empty;

    __device__ real operator()(index_t i) const {
        if (empty) return 0;
        const real value = now[i];
        return momentum == 0 ? value : value + momentum * (value - before[i]);
    }
};

// Part of a voxel less the adjoint of the differences, times `share`.
template <class Dual>
__device__ inline real less_dual(const real *x, const Dual &p, index_t i, const place_t &place, int part,
                                 real share, const geometry_t &g) {
    real value = x[i * PARTS + part];
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        if (!(g.weights[axis] > 0)) continue;
        const index_t here = (g.slots[axis] + i) * PARTS + part;
        real step = p(here);
        if (place.at[axis] > 0) step -= p(here - g.strides[axis] * PARTS);
        value += share * g.weights[axis] * step;
    }
    return value;
}

// Moduli are formed without squares that overflow or vanish, as the reference does: a fast path for
// ordinary values would have to look at all of them first.
template <bool fast>
__device__ inline void update(const real *x, const dual_t &p, real *next, real step, real strength,
                              real nothing, const geometry_t &g) {
    for (index_t i = first_index(); i < g.voxels; i += grid_stride()) {
        const place_t place(i, g);
        real u[PARTS], slopes[3][PARTS];
        bool inside[3];
#pragma unroll
        for (int part = 0; part < PARTS; ++part) u[part] = less_dual(x, p, i, place, part, 1, g);
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            inside[axis] = g.weights[axis] > 0 && place.at[axis] + 1 < g.sizes[axis];
            place_t other = place;
            ++other.at[axis];
#pragma unroll
            for (int part = 0; part < PARTS; ++part) {
                slopes[axis][part] = 0;
                if (inside[axis]) {
                    const real far = less_dual(x, p, i + g.strides[axis], other, part, 1, g);
                    slopes[axis][part] = g.weights[axis] * (far - u[part]);
                }
            }
        }
#pragma unroll
        for (int group = 0; group < 3; ++group) {
            const real floor = fast ? strength : nothing;
            real values[3][PARTS], top = floor, sum = 0;
#pragma unroll
            for (int axis = 0; axis < 3; ++axis) {
                if (!inside[axis] || g.group(axis) != group) continue;
#pragma unroll
                for (int part = 0; part < PARTS; ++part) {
                    const index_t here = (g.slots[axis] + i) * PARTS + part;
                    values[axis][part] = p(here) + step * slopes[axis][part];
                    const real size = abs(fast ? values[axis][part] : slopes[axis][part]);
                    top = size <= top ? top : size;
                }
            }
#pragma unroll
            for (int axis = 0; axis < 3; ++axis) {
                if (!inside[axis] || g.group(axis) != group) continue;
#pragma unroll
                for (int part = 0; part < PARTS; ++part) {
                    const real ratio = (fast ? values[axis][part] : slopes[axis][part]) / top;
                    sum += ratio * ratio;
                }
            }
            const real least = floor / top * (floor / top);
            const real modulus = top * sqrt(sum < least ? least : sum);
            const real size = fast ? modulus : strength + step * modulus;
#pragma unroll
            for (int axis = 0; axis < 3; ++axis) {
                if (!(g.weights[axis] > 0) || g.group(axis) != group) continue;
#pragma unroll
                for (int part = 0; part < PARTS; ++part) {
                    const index_t here = (g.slots[axis] + i) * PARTS + part;
                    next[here] = inside[axis] ? strength * (values[axis][part] / size) : (real)0;
                }
            }
        }
    }
}

// Fast gradient projection. `first` says that nothing has been written yet.
extern "C" __global__ void project(const real *x, const real *now, const real *before, real *next,
                                   long long items, long long nz, long long ny, long long nx, real wz,
                                   real wy, real wx, long long norm, real step, real strength,
                                   real nothing, real momentum, long long first) {
    update<true>(x, dual_t{now, before, momentum, first != 0}, next, step, strength, nothing,
                 geometry_t(GIVEN));
}

// Chambolle's fixed point.
extern "C" __global__ void damp(const real *x, const real *now, real *next, long long items, long long nz,
                                long long ny, long long nx, real wz, real wy, real wx, long long norm,
                                real step, real strength, real nothing, long long first) {
    update<false>(x, dual_t{now, now, 0, first != 0}, next, step, strength, nothing, geometry_t(GIVEN));
}

// The dual variable taken from the object, in place.
__device__ inline void finish_each(real *x, const real *dual, real share, const geometry_t &g,
                                   change_t &change) {
    const dual_t p{dual, dual, 0, false};
    for (index_t i = first_index(); i < g.voxels; i += grid_stride()) {
        const place_t place(i, g);
#pragma unroll
        for (int part = 0; part < PARTS; ++part) {
            const real old = x[i * PARTS + part], now = less_dual(x, p, i, place, part, share, g);
            change.add(now, old);
            x[i * PARTS + part] = now;
        }
    }
}

extern "C" __global__ void finish(real *x, const real *dual, long long items, long long nz, long long ny,
                                  long long nx, real wz, real wy, real wx, long long norm, real share) {
    change_t ignored = {0, 0};
    finish_each(x, dual, share, geometry_t(GIVEN), ignored);
}

extern "C" __global__ void finish_measured(real *x, const real *dual, long long items, long long nz,
                                           long long ny, long long nx, real wz, real wy, real wx,
                                           long long norm, real share, double *changed, double *before) {
    change_t change = {0, 0};
    finish_each(x, dual, share, geometry_t(GIVEN), change);
    store_change(change.difference, change.old, changed, before);
}
