// Propagation of probe modes in reciprocal space; angles, sines and cosines in double.

// √(k² - K²) - k in rad/Å at a pixel of the FFT grid, written without cancellation. `radians` is the
// angular frequency of one cycle per pixel; k² comes from the host, because a product here could be
// fused with the difference, which then would miss 0 for clamped waves, on the wrong side.
__device__ inline double propagation_rate(index_t pixel, index_t ny, index_t nx, double radians, double k,
                                          double k_squared) {
    const index_t row = pixel / nx, column = pixel % nx;
    const double ky = (double)(row < (ny + 1) / 2 ? row : row - ny) / ny * radians;
    const double kx = (double)(column < (nx + 1) / 2 ? column : column - nx) / nx * radians;
    const double lateral = min(ky * ky + kx * kx, k_squared);
    return -lateral / (sqrt(k_squared - lateral) + k);
}

__device__ inline complex_t product(complex_t a, complex_t b) {
    return {a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x};
}

// The spectra of all modes times scale·exp(i·rate·sign·distance).
extern "C" __global__ void propagate_spectra(complex_t *spectra, long long modes, long long ny, long long nx,
                                             const double *distance, double sign, double scale,
                                             double radians, double k, double k_squared) {
    const index_t pixels = (index_t)(ny * nx);
    const double z = sign * distance[0];
    for (index_t i = first_index(); i < pixels; i += grid_stride()) {
        double sine, cosine;
        sincos(propagation_rate(i, ny, nx, radians, k, k_squared) * z, &sine, &cosine);
        const complex_t phasor = {(real)(scale * cosine), (real)(scale * sine)};
        for (index_t m = 0; m < modes; ++m) {
            complex_t *value = spectra + m * pixels + i;
            *value = product(*value, phasor);
        }
    }
}

// Planes after which a phase is computed anew; between them it is turned from one to the next, which
// is four operations instead of a sine and a cosine in double, and off by 16 roundings at most.
#define TURNS 16

// One spectrum propagated to the planes start + step·(first + p), in double whatever the probe has:
// neighbouring planes may differ by less than float resolves.
extern "C" __global__ void propagate_to_planes(const complex_t *spectrum, long long ny, long long nx,
                                               complex_t *planes, long long number, long long first,
                                               double start, double step, double radians, double k,
                                               double k_squared) {
    const index_t pixels = (index_t)(ny * nx);
    for (index_t i = first_index(); i < pixels; i += grid_stride()) {
        const double rate = propagation_rate(i, ny, nx, radians, k, k_squared);
        const complex_t value = spectrum[i];
        double sine, cosine, step_sine, step_cosine;
        sincos(rate * step, &step_sine, &step_cosine);
        for (index_t p = 0; p < number; ++p) {
            if (p % TURNS == 0) {
                sincos(rate * (start + step * (first + p)), &sine, &cosine);
            } else {
                const double turned = cosine * step_cosine - sine * step_sine;
                sine = cosine * step_sine + sine * step_cosine;
                cosine = turned;
            }
            planes[p * pixels + i] = product(value, {(real)cosine, (real)sine});
        }
    }
}

// A distance of 0 leaves the modes as they were, which a pair of transforms would not.
extern "C" __global__ void take_if_moved(const complex_t *moved, long long size, const double *distance,
                                         complex_t *probe) {
    if (distance[0] == 0) return;
    for (index_t i = first_index(); i < size; i += grid_stride()) probe[i] = moved[i];
}
