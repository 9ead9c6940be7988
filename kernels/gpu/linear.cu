// Linear filters of the object. Spectra are those of transforms over an item's axes, a slice's or a
// volume's, of all columns or, of real ones, nx/2 + 1; nz is 1 for slices. Neither cuFFT nor these
// kernels normalise them but by what `keep` and `share` are multiplied with.

// What spectra are multiplied by: keep + share·T.
struct factor_t {
    double keep, share;
};

// Multiply spectra of items; T of the moduli of the frequencies, in steps along each axis, is the
// same in each of them, and so computed once, in double precision as the reference does.
template <class Transfer>
__device__ inline void multiply(complex_t *spectra, index_t number, index_t nz, index_t ny, index_t nx,
                                index_t columns, factor_t factor, Transfer transfer) {
    const index_t size = nz * ny * columns;
    for (index_t i = first_index(); i < size; i += grid_stride()) {
        const index_t x = i % columns, row = i / columns, y = row % ny, z = row / ny;
        const double value = transfer(min(z, nz - z), min(y, ny - y), min(x, nx - x));
        const real weight = factor.keep + factor.share * value;
        for (index_t item = 0; item < number; ++item) {
            complex_t &bin = spectra[item * size + i];
            bin.x *= weight;
            bin.y *= weight;
        }
    }
}

// 2·(pi·sigma·q)^2, as far as its exponential is not 0.
__device__ inline double exponent(double q, double most, double scale) {
    const double value = min(q, most) * scale;
    return 2 * value * value;
}

// T = exp(-2·pi^2·sigma^2·q^2): for each axis the step, the frequency beyond which T is 0, pi·sigma.
extern "C" __global__ void gaussian(complex_t *spectra, long long number, long long nz, long long ny,
                                    long long nx, long long columns, double keep, double share,
                                    double step_z, double most_z, double scale_z, double step_y,
                                    double most_y, double scale_y, double step_x, double most_x,
                                    double scale_x) {
    multiply(spectra, number, nz, ny, nx, columns, {keep, share}, [=](double z, double y, double x) {
        return exp(-(exponent(z * step_z, most_z, scale_z) + exponent(y * step_y, most_y, scale_y) +
                     exponent(x * step_x, most_x, scale_x)));
    });
}

// L(q; cutoff). Beyond these quotients and exponents it has its limits.
__device__ inline double low_pass(double q, double cutoff, int edge, double order) {
    if (edge == 2) return q <= cutoff * (1 + 1e-9) ? 1 : 0;
    const double ratio = max(min(q, cutoff * 1e100) / cutoff, 1e-100);
    if (edge == 1) return exp(-0.5 * ratio * ratio);
    const double steep = 700 / (2 * order);
    return 1 / (1 + exp(2 * order * max(-steep, min(steep, log(ratio)))));
}

// T = L(q; low)·(1 - L(q; high)), without either where it is 0. `edge` is 0 for a butterworth, 1 for
// a Gaussian, 2 for a hard one.
extern "C" __global__ void band(complex_t *spectra, long long number, long long nz, long long ny,
                                long long nx, long long columns, double keep, double share,
                                double step_z, double step_y, double step_x, double low, double high,
                                long long edge, double order) {
    multiply(spectra, number, nz, ny, nx, columns, {keep, share}, [=](double z, double y, double x) {
        const double qz = z * step_z, qy = y * step_y, qx = x * step_x;
        const double q = sqrt(qz * qz + qy * qy + qx * qx);
        if (q == 0) return 1.0;
        const double value = low > 0 ? low_pass(q, low, (int)edge, order) : 1.0;
        return high > 0 ? value * (1 - low_pass(q, high, (int)edge, order)) : value;
    });
}

// T = 2/pi·atan(tangent2·(qy^2 + qx^2 + floor2)/qz^2).
extern "C" __global__ void damp_depth(complex_t *spectra, long long number, long long nz, long long ny,
                                      long long nx, long long columns, double keep, double share,
                                      double step_z, double step_y, double step_x, double tangent2,
                                      double floor2) {
    multiply(spectra, number, nz, ny, nx, columns, {keep, share}, [=](double z, double y, double x) {
        const double qz = z * step_z, qy = y * step_y, qx = x * step_x;
        if (qz == 0) return 1.0;
        return 0.63661977236758134308 * atan2(tangent2 * (qy * qy + qx * qx + floor2), qz * qz);
    });
}

// Bins of an axis at most `window` from a harmonic; the slack is the reference's.
struct window_t {
    long long first, number;

    __device__ window_t(double harmonic, long long size, double window) {
        const double reach = min(window + 1e-9, (double)size);
        first = ceil(harmonic - reach);
        number = min((long long)floor(harmonic + reach) + 1 - first, size);
    }
    __device__ index_t bin(index_t i, long long size) const {
        const long long rest = (first + i) % size;
        return rest < 0 ? rest + size : rest;
    }
};

// Mark what lies in a window around one of `number` harmonics, of orders up to `most_y` and `most_x`,
// one block for each of them: all, those with n = 0 behind those with m = 0 (`axes`).
extern "C" __global__ void mark_windows(unsigned char *stop, long long ny, long long nx, long long number,
                                        long long most_y, long long most_x, long long axes, double dx,
                                        double period_y, double period_x, double window, double cosine,
                                        double sine) {
    const long long across = 2 * most_x + 1, columns = nx / 2 + 1;
    for (long long i = blockIdx.x; i < number; i += gridDim.x) {
        long long m = i / across - most_y, n = i % across - most_x;
        if (axes) {
            m = i < across ? 0 : i - across - most_y;
            n = i < across ? i - most_x : 0;
        }
        const double along_y = m / period_y, along_x = n / period_x;
        const double hy = ny * dx * (cosine * along_y - sine * along_x);
        const double hx = nx * dx * (sine * along_y + cosine * along_x);
        if ((m == 0 && n == 0) || !(fabs(hy) <= ny / 2.0 + 1e-9 && fabs(hx) <= nx / 2.0 + 1e-9)) continue;
        const window_t rows(hy, ny, window), places(hx, nx, window);
        if (rows.number < 1 || places.number < 1) continue;
        for (long long j = threadIdx.x; j < rows.number * places.number; j += blockDim.x) {
            const index_t y = rows.bin(j / places.number, ny), x = places.bin(j % places.number, nx);
            if (x < columns && (y > 0 || x > 0)) stop[y * columns + x] = 1;
        }
    }
}

// Multiply what is marked by keep·norm, all else by norm; bins at negative kx are as those opposite.
extern "C" __global__ void stop_windows(complex_t *spectra, long long number, long long ny, long long nx,
                                        long long columns, const unsigned char *__restrict__ stop,
                                        double keep, double norm) {
    const index_t half = nx / 2 + 1, size = ny * columns;
    for (index_t i = first_index(); i < size; i += grid_stride()) {
        const index_t y = i / columns, x = i % columns;
        const index_t place = x < half ? y * half + x : (y > 0 ? ny - y : 0) * half + nx - x;
        const real weight = stop[place] ? keep * norm : norm;
        for (index_t item = 0; item < number; ++item) {
            complex_t &bin = spectra[item * size + i];
            bin.x *= weight;
            bin.y *= weight;
        }
    }
}

// Mean over depth in every slice, of volumes (number, nz, columns): share·x + part·Σx.
template <class Note>
__device__ inline void average(real *x, index_t number, index_t nz, index_t columns, real share,
                               double part, Note note) {
    for (index_t i = first_index(); i < number * columns; i += grid_stride()) {
        real *top = x + i / columns * nz * columns + i % columns;
        double total = 0;
        for (index_t z = 0; z < nz; ++z) total += top[z * columns];
        const real mean = part * total;
        for (index_t z = 0; z < nz; ++z) {
            const real old = top[z * columns], now = share * old + mean;
            note(now, old);
            top[z * columns] = now;
        }
    }
}

extern "C" __global__ void equal_slices(real *x, long long number, long long nz, long long columns,
                                        real share, double part) {
    average(x, number, nz, columns, share, part, [](real, real) {});
}

extern "C" __global__ void equal_slices_measured(real *x, long long number, long long nz,
                                                 long long columns, real share, double part,
                                                 double *changed, double *before) {
    change_t change = {0, 0};
    average(x, number, nz, columns, share, part, [&](real now, real old) { change.add(now, old); });
    store_change(change.difference, change.old, changed, before);
}

// Mix each pixel of slices with its neighbours; `old` is a copy of what is written. Pixels are of
// `parts` real numbers, nx of them, with the parts, in a row.
template <class Note>
__device__ inline void mix(real *x, const real *__restrict__ old, index_t number, index_t ny, index_t nx,
                           index_t parts, real centre, real share, Note note) {
    for (index_t i = first_index(); i < number * ny * nx; i += grid_stride()) {
        const index_t column = i % nx, y = i / nx % ny;
        const real *row = old + (i - column), *above = y > 0 ? row - nx : row;
        const real *below = y + 1 < ny ? row + nx : row;
        const index_t left = column >= parts ? column - parts : column;
        const index_t right = column + parts < nx ? column + parts : column;
        const real nine = (row[column] + above[column] + below[column]) +
                          (row[left] + above[left] + below[left]) +
                          (row[right] + above[right] + below[right]);
        const real now = centre * row[column] + share * nine;
        note(now, row[column]);
        x[i] = now;
    }
}

extern "C" __global__ void smooth(real *x, const real *old, long long number, long long ny, long long nx,
                                  long long parts, real centre, real share) {
    mix(x, old, number, ny, nx, parts, centre, share, [](real, real) {});
}

extern "C" __global__ void smooth_measured(real *x, const real *old, long long number, long long ny,
                                           long long nx, long long parts, real centre, real share,
                                           double *changed, double *before) {
    change_t change = {0, 0};
    mix(x, old, number, ny, nx, parts, centre, share,
        [&](real now, real value) { change.add(now, value); });
    store_change(change.difference, change.old, changed, before);
}
