// Ranges of the object's amplitude and phase, in place.

extern "C" __global__ void clip(real *x, long long size, real relax, real keep, real low, real high) {
    change_each(x, size, [=](real value) {
        return relax * value + keep * lower_to(high, raise_to(low, value));
    });
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
