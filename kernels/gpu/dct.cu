// Two-dimensional DCT-II of slices by one real FFT of the same size, and back (Makhoul 1980).
//
// With the samples of both axes reordered, even ones first and then the odd ones backwards, and
// their spectrum V, a = exp(-iπ ky/2ny) and b = exp(-iπ kx/2nx), the coefficients are
//     Y[ky, kx] = 2 Re a (b V[ky, kx] + conj(b V[-ky, kx])).
// The same two values of V give Y at ny - ky and nx - kx: four coefficients from two numbers.
//
// A block is 32 × 8 threads, for columns and rows; rows of all slices go through one after the other.

__device__ inline index_t first_row() { return (index_t)blockIdx.x * blockDim.y + threadIdx.y; }

__device__ inline index_t row_stride() { return (index_t)gridDim.x * blockDim.y; }

__device__ inline index_t first_column() { return (index_t)blockIdx.y * blockDim.x + threadIdx.x; }

__device__ inline index_t column_stride() { return (index_t)gridDim.y * blockDim.x; }

extern "C" __global__ void reorder(const real *x, real *reordered_x, long long slices, long long ny,
                                   long long nx) {
    for (index_t row = first_row(); row < slices * ny; row += row_stride()) {
        const index_t slice = row / (index_t)ny, y = row - slice * ny;
        const real *from = x + row * nx;
        real *to = reordered_x + (slice * ny + reordered(y, ny)) * nx;
        // two neighbours at a time: both the reads and the writes of a warp lie side by side
        for (index_t i = first_column(); 2 * i < nx; i += column_stride()) {
            to[i] = from[2 * i];
            if (2 * i + 1 < nx) to[nx - 1 - i] = from[2 * i + 1];
        }
    }
}

extern "C" __global__ void restore(const real *reordered_x, real *x, long long slices, long long ny,
                                   long long nx) {
    for (index_t row = first_row(); row < slices * ny; row += row_stride()) {
        const index_t slice = row / (index_t)ny, y = row - slice * ny;
        const real *from = reordered_x + (slice * ny + reordered(y, ny)) * nx;
        real *to = x + row * nx;
        for (index_t i = first_column(); 2 * i < nx; i += column_stride()) {
            to[2 * i] = from[i];
            if (2 * i + 1 < nx) to[2 * i + 1] = from[nx - 1 - i];
        }
    }
}

// Coefficients from the spectrum of the reordered samples.
extern "C" __global__ void to_coefficients(const complex_t *spectrum, real *coefficients, long long slices,
                                           long long ny, long long nx) {
    const index_t half_y = ny / 2 + 1, half_x = nx / 2 + 1;
    for (index_t row = first_row(); row < slices * half_y; row += row_stride()) {
        const index_t slice = row / half_y, ky = row - slice * half_y;
        const index_t here = slice * ny + ky, there = slice * ny + (ky ? ny - ky : 0);
        const complex_t a = quarter_wave(ky, ny);
        for (index_t kx = first_column(); kx < half_x; kx += column_stride()) {
            const complex_t b = quarter_wave(kx, nx);
            const complex_t p = product(b, spectrum[here * half_x + kx]);
            const complex_t q = product(b, spectrum[there * half_x + kx]);
            const complex_t sum = product(a, {p.x + q.x, p.y - q.y});
            const complex_t difference = product(a, {p.x - q.x, p.y + q.y});
            const bool mirrored = kx && 2 * kx != nx;
            coefficients[here * nx + kx] = 2 * sum.x;
            if (mirrored) coefficients[here * nx + nx - kx] = -2 * difference.y;
            if (here == there) continue;
            coefficients[there * nx + kx] = -2 * sum.y;
            if (mirrored) coefficients[there * nx + nx - kx] = -2 * difference.x;
        }
    }
}

// Written so that NaN stays.
__device__ inline real kept(real coefficient, real smallest) {
    return fabs(coefficient) < smallest ? 0 : coefficient;
}

// The inverse of `to_coefficients` on the coefficients whose modulus is not below the smallest one
// that is kept; of that there is one for all slices (step 0) or one for each (step 1). Normalises
// the transform that follows.
extern "C" __global__ void to_spectrum(const real *coefficients, complex_t *spectrum, long long slices,
                                       long long ny, long long nx, const real *smallest_kept,
                                       long long step) {
    const index_t half_y = ny / 2 + 1, half_x = nx / 2 + 1;
    const real scale = (real)(0.25 / ((double)ny * (double)nx));
    for (index_t row = first_row(); row < slices * half_y; row += row_stride()) {
        const index_t slice = row / half_y, ky = row - slice * half_y;
        const index_t here = slice * ny + ky, there = slice * ny + (ky ? ny - ky : 0);
        const real smallest = smallest_kept[slice * step];
        const complex_t a = quarter_wave(ky, ny);
        for (index_t kx = first_column(); kx < half_x; kx += column_stride()) {
            const complex_t b = quarter_wave(kx, nx);
            // all four at once, so that none waits for a branch on another: this pass took twice as
            // long as its inverse. Those at ny and nx, which there are not, are 0.
            const index_t mirrored = kx ? nx - kx : 0;
            const real values[] = {coefficients[here * nx + kx], coefficients[there * nx + kx],
                                   coefficients[here * nx + mirrored], coefficients[there * nx + mirrored]};
            complex_t sum = {kept(values[0], smallest), ky ? -kept(values[1], smallest) : 0};
            complex_t difference = {kx && ky ? -kept(values[3], smallest) : 0,
                                    kx ? -kept(values[2], smallest) : 0};
            sum = unwind(a, sum);
            difference = unwind(a, difference);
            const complex_t p = unwind(b, {sum.x + difference.x, sum.y + difference.y});
            const complex_t q = unwind(b, {sum.x - difference.x, difference.y - sum.y});
            spectrum[here * half_x + kx] = {scale * p.x, scale * p.y};
            if (here != there) spectrum[there * half_x + kx] = {scale * q.x, scale * q.y};
        }
    }
}
