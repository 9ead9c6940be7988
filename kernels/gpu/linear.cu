// Linear filters of the object that are no multiplication by a smooth transfer function: notches, of
// spectra as in transfer.cu, equal slices and smoothing.

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
