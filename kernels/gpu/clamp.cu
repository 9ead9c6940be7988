// Ranges of the object's amplitude and phase, in place.

__device__ inline real clipped(real value, real relax, real keep, real low, real high) {
    return relax * value + keep * lower_to(high, raise_to(low, value));
}

extern "C" __global__ void clip(real *x, long long size, real relax, real keep, real low, real high) {
    change_each(x, size, [=](real value) { return clipped(value, relax, keep, low, high); });
}

// A copy to compare with afterwards would be three times the traffic.
extern "C" __global__ void clip_measured(real *x, long long size, real relax, real keep, real low, real high,
                                         double *changed, double *before) {
    change_t change = {0, 0};
    change_each(x, size, [=, &change](real value) {
        const real now = clipped(value, relax, keep, low, high);
        change.add(now, value);
        return now;
    });
    store_change(change.difference, change.old, changed, before);
}

// The smallest value of each block; NaN wins.
extern "C" __global__ void block_minima(const real *x, long long size, real *minima) {
    __shared__ real found[THREADS];
    real least = x[0];
    for (index_t i = first_index(); i < size; i += grid_stride()) least = smaller(least, x[i]);
    found[threadIdx.x] = least;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) found[threadIdx.x] = smaller(found[threadIdx.x], found[threadIdx.x + half]);
    }
    if (threadIdx.x == 0) minima[blockIdx.x] = found[0];
}

// x - (1 - relax)·least, with the smallest value where `block_minima` of one block has left it.
extern "C" __global__ void subtract_minimum(real *x, long long size, real relax, real keep, const real *least) {
    const real offset = least[0];
    change_each(x, size, [=](real value) { return relax * value + keep * (value - offset); });
}

extern "C" __global__ void subtract_measured(real *x, long long size, real relax, real keep, const real *least,
                                             double *changed, double *before) {
    const real offset = least[0];
    change_t change = {0, 0};
    change_each(x, size, [=, &change](real value) {
        const real now = relax * value + keep * (value - offset);
        change.add(now, value);
        return now;
    });
    store_change(change.difference, change.old, changed, before);
}
