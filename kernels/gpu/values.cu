// Values of the object: shrinkage towards vacuum, its level, and what fills regions, in place.

// Rules as the launcher numbers them.
enum rule_t { SOFT, POSITIVE, HARD, RIDGE };

__device__ inline real shrunk(real distance, long long rule, real amount, real divisor) {
    if (rule == RIDGE) return distance / divisor;
    if (rule == POSITIVE) return raise_to(0, distance - amount);
    if (rule == HARD) return abs(distance) <= amount ? 0 : distance;
    return copysign(raise_to(0, abs(distance) - amount), distance);
}

__device__ inline complex_t shrunk(complex_t distance, long long rule, real amount, real divisor) {
    if (rule == RIDGE) return {distance.x / divisor, distance.y / divisor};
    const real size = hypot(distance.x, distance.y);
    const real left = rule == HARD ? (size <= amount ? 0 : size) : raise_to(0, size - amount);
    const real share = left / (size > 0 || size != size ? size : 1);
    return {share * distance.x, share * distance.y};
}

extern "C" __global__ void shrink(real *x, long long size, long long rule, real amount, real divisor, real target,
                                  real relax, real keep) {
    change_each(x, size, [=](real value) {
        return relax * value + keep * (target + shrunk(value - target, rule, amount, divisor));
    });
}

extern "C" __global__ void shrink_measured(real *x, long long size, long long rule, real amount, real divisor,
                                           real target, real relax, real keep, double *changed, double *before) {
    change_t change = {0, 0};
    change_each(x, size, [=, &change](real value) {
        const real now = relax * value + keep * (target + shrunk(value - target, rule, amount, divisor));
        change.add(now, value);
        return now;
    });
    store_change(change.difference, change.old, changed, before);
}

__device__ inline change_t shrink_pairs(complex_t *x, index_t size, long long rule, real amount, real divisor,
                                        real target, real relax, real keep) {
    change_t change = {0, 0};
    for (index_t i = first_index(); i < size; i += grid_stride()) {
        const complex_t old = x[i];
        const complex_t left = shrunk(complex_t{old.x - target, old.y}, rule, amount, divisor);
        const complex_t now = {relax * old.x + keep * (target + left.x), relax * old.y + keep * left.y};
        x[i] = now;
        change.add(now.x, old.x);
        change.add(now.y, old.y);
    }
    return change;
}

extern "C" __global__ void shrink_complex(complex_t *x, long long size, long long rule, real amount, real divisor,
                                          real target, real relax, real keep) {
    shrink_pairs(x, size, rule, amount, divisor, target, relax, keep);
}

extern "C" __global__ void shrink_complex_measured(complex_t *x, long long size, long long rule, real amount,
                                                   real divisor, real target, real relax, real keep,
                                                   double *changed, double *before) {
    const change_t change = shrink_pairs(x, size, rule, amount, divisor, target, relax, keep);
    store_change(change.difference, change.old, changed, before);
}

// Every `step`-th of so many planes from the first one on; plane p has the weights p % masks. Rows of
// blocks share a plane, so that nobody divides the index of a pixel.
template <class Weights>
__device__ inline change_t fill_planes(real *x, Weights weights, long long masks, long long planes, long long plane,
                                       long long first, long long step, real strength, real value) {
    change_t change = {0, 0};
    for (index_t p = first + step * blockIdx.y; p < planes; p += step * gridDim.y) {
        const Weights own = weights + (index_t)(p % masks * plane);
        real *values = x + (index_t)(p * plane);
        for (index_t i = first_index(); i < plane; i += grid_stride()) {
            const real old = values[i], weight = strength * own[i];
            // not x + w (value - x), which misses the value by its rounding
            const real now = (1 - weight) * old + weight * value;
            values[i] = now;
            change.add(now, old);
        }
    }
    return change;
}

extern "C" __global__ void fill(real *x, long long planes, long long plane, long long first, long long step,
                                real strength, real value) {
    fill_planes(x, everywhere_t(), 1, planes, plane, first, step, strength, value);
}

extern "C" __global__ void fill_measured(real *x, long long planes, long long plane, long long first, long long step,
                                         real strength, real value, double *changed, double *before) {
    store_of_rows(fill_planes(x, everywhere_t(), 1, planes, plane, first, step, strength, value), changed, before);
}

extern "C" __global__ void fill_mask(real *x, const unsigned char *mask, long long masks, long long planes,
                                     long long plane, long long first, long long step, real strength, real value) {
    fill_planes(x, mask, masks, planes, plane, first, step, strength, value);
}

extern "C" __global__ void fill_mask_measured(real *x, const unsigned char *mask, long long masks, long long planes,
                                              long long plane, long long first, long long step, real strength,
                                              real value, double *changed, double *before) {
    store_of_rows(fill_planes(x, mask, masks, planes, plane, first, step, strength, value), changed, before);
}

extern "C" __global__ void fill_weights(real *x, const real *weights, long long masks, long long planes,
                                        long long plane, long long first, long long step, real strength, real value) {
    fill_planes(x, weights, masks, planes, plane, first, step, strength, value);
}

extern "C" __global__ void fill_weights_measured(real *x, const real *weights, long long masks, long long planes,
                                                 long long plane, long long first, long long step, real strength,
                                                 real value, double *changed, double *before) {
    store_of_rows(fill_planes(x, weights, masks, planes, plane, first, step, strength, value), changed, before);
}

// x·factor - offset, of one pair (factor, offset) for each plane or of the same one for all.
__device__ inline change_t correct_planes(real *x, long long planes, long long plane, const double *corrections,
                                          long long groups) {
    change_t change = {0, 0};
    for (index_t p = blockIdx.y; p < planes; p += gridDim.y) {
        const double *own = corrections + 2 * (groups == 1 ? 0 : p);
        const real factor = own[0], offset = own[1];
        real *values = x + (index_t)(p * plane);
        for (index_t i = first_index(); i < plane; i += grid_stride()) {
            const real old = values[i], now = old * factor - offset;
            values[i] = now;
            change.add(now, old);
        }
    }
    return change;
}

extern "C" __global__ void correct(real *x, long long planes, long long plane, const double *corrections,
                                   long long groups) {
    correct_planes(x, planes, plane, corrections, groups);
}

extern "C" __global__ void correct_measured(real *x, long long planes, long long plane, const double *corrections,
                                            long long groups, double *changed, double *before) {
    store_of_rows(correct_planes(x, planes, plane, corrections, groups), changed, before);
}
