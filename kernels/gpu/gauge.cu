// The scale of object and probe.

// Factors (rms/target)^exponent of slices, by one block, a warp for each: the factor itself, its
// inverse, and the product of all. Planes (volumes, nz) have `parts` sums each, Σ w·x² and Σ w.
extern "C" __global__ void scale_factors(const double *sums, long long volumes, long long nz, long long parts,
                                         double target, double exponent, double *factors, double *inverse,
                                         double *product) {
    for (index_t z = threadIdx.x / 32; z < nz; z += THREADS / 32) {
        double total = 0, whole = 0;
        for (index_t i = threadIdx.x % 32; i < volumes * parts; i += 32) {
            const index_t place = (i / parts * nz + z) * parts + i % parts;
            total += sums[2 * place];
            whole += sums[2 * place + 1];
        }
        total = warp_sum(total);
        whole = warp_sum(whole);
        if (threadIdx.x % 32 > 0) continue;
        const double rms = sqrt(whole != 0 ? total / whole : 0);
        factors[z] = rms != 0 ? pow(rms / target, exponent) : 1;  // NaN is, so that it stays visible
        inverse[z] = 1 / factors[z];
    }
    __syncthreads();
    if (threadIdx.x > 0) return;
    double all = 1;
    for (index_t z = 0; z < nz; ++z) all *= factors[z];
    *product = all;
}

// Multiply plane p by factor p % number, in double precision: single may not hold the factor.
__device__ inline change_t scale_planes(real *x, long long planes, long long plane, const double *factors,
                                        long long number) {
    change_t change = {0, 0};
    for (index_t p = blockIdx.y; p < planes; p += gridDim.y) {
        const double factor = factors[p % number];
        real *values = x + (index_t)(p * plane);
        for (index_t i = first_index(); i < plane; i += grid_stride()) {
            const real old = values[i], now = old * factor;
            values[i] = now;
            change.add(now, old);
        }
    }
    return change;
}

extern "C" __global__ void scale(real *x, long long planes, long long plane, const double *factors,
                                 long long number) {
    scale_planes(x, planes, plane, factors, number);
}

extern "C" __global__ void scale_measured(real *x, long long planes, long long plane, const double *factors,
                                          long long number, double *changed, double *before) {
    store_of_rows(scale_planes(x, planes, plane, factors, number), changed, before);
}
