// Centre of mass in depth, the object moved along z by a fraction of a slice, scan origin.

#define TILE 4  // rows of a column that a thread computes at a time

// Sum of the values of each slice that are not below a floor, in `parts` partial sums.
extern "C" __global__ void slice_sums(const real *phase, long long slices, long long pixels,
                                      long long parts, const real *percentile, double *sums) {
    const real lowest = raise_to(0, percentile[0]);
    for (index_t task = blockIdx.x; task < slices * parts; task += gridDim.x) {
        const index_t slice = task / (index_t)parts, part = task - slice * parts;
        const real *values = phase + slice * pixels;
        double sum = 0;
        for (index_t i = part * THREADS + threadIdx.x; i < pixels; i += (index_t)parts * THREADS)
            sum += values[i] < lowest ? 0 : values[i];  // written so that NaN counts
        sum = block_sum(sum);
        if (threadIdx.x == 0) sums[task] = sum;
    }
}

// Weight of slice z - d in slice z of a column of n that is moved by `shift`: the mean over the
// frequencies f of exp(2πi f (d - shift)), real part, in closed form.
__device__ inline double weight(double d, double n, bool even, double shift) {
    const double t = d - n * rint((d - shift) / n) - shift;  // of the periods the nearest one
    if (t == 0) return 1;
    double wave, period, wave_cosine, period_cosine;
    sincospi(t, &wave, &wave_cosine);
    sincospi(t / n, &period, &period_cosine);
    return (even ? wave * period_cosine : wave) / (n * period);
}

// The shift, the distance in Å for the probe, and the weights of all distances d between slices, from
// 1 - padded on, followed by what the highest of an even number of frequencies adds: its imaginary
// part, (-1)^d times the last number. One block.
extern "C" __global__ void depth_shift(const double *sums, long long slices, long long parts, long long nz,
                                       long long padded, double share, double guard, double smallest,
                                       double scale, double limit, double slice_thickness, double *shift,
                                       double *distance, real *weights) {
    __shared__ double found;
    double total = 0, moment = 0;
    for (index_t i = threadIdx.x; i < slices * parts; i += THREADS) {
        const double mass = share * sums[i];
        total += mass;
        moment += (double)(i / (index_t)parts % (index_t)nz) * mass;
    }
    total = block_sum(total);
    moment = block_sum(moment);
    if (threadIdx.x == 0) {
        double by = scale * ((nz - 1) / 2.0 - moment / (total + guard));
        by = by < -limit ? -limit : by > limit ? limit : by;
        // without any positive phase there is no centre of mass to move
        if (total == 0 || fabs(by) < smallest) by = 0;
        found = by;
        shift[0] = by;
        distance[0] = -slice_thickness * by;
    }
    __syncthreads();
    const bool even = nz % 2 == 0;
    for (index_t i = threadIdx.x; i <= 2 * padded; i += THREADS) {
        double sine = 0, cosine;
        if (i == 2 * padded && even) sincospi(found, &sine, &cosine);
        const double d = (double)(i + 1 - padded);
        weights[i] = (real)(i == 2 * padded ? sine / nz : weight(d, (double)nz, even, found));
    }
}

// A·cos φ, A·sin φ and φ of one slice of a column; `plane` from one to the next.
__device__ inline void to_row(real amplitude, real phase, real *row, index_t plane) {
    real sine, cosine;
#if SINGLE
    sincosf(phase, &sine, &cosine);
#else
    sincos(phase, &sine, &cosine);
#endif
    row[0] = amplitude * cosine;
    row[plane] = amplitude * sine;
    row[2 * plane] = phase;
}

// Move TILE slices from z on, of one column whose rows are `stride` apart, and turn them into A and φ
// with the turns that bring φ closest to the φ that has been moved by itself.
__device__ inline void move_tile(const real *rows, index_t stride, const real *weights, index_t z, index_t nz,
                                 index_t padded, real *amplitude, real *phase, index_t pixels) {
    const index_t plane = padded * stride;
    real x[TILE] = {}, y[TILE] = {}, expected[TILE] = {}, alternating_x = 0, alternating_y = 0;
    for (index_t from = 0; from < padded; from += TILE) {
        real near[2 * TILE - 1];
        for (int i = 0; i < 2 * TILE - 1; ++i) near[i] = weights[z - from + padded - TILE + i];
#pragma unroll
        for (int j = 0; j < TILE; ++j) {
            const real *row = rows + (from + j) * stride;
            const real wave_x = row[0], wave_y = row[plane], angle = row[2 * plane];
            alternating_x += j % 2 ? -wave_x : wave_x;
            alternating_y += j % 2 ? -wave_y : wave_y;
#pragma unroll
            for (int i = 0; i < TILE; ++i) {
                const real w = near[i - j + TILE - 1];
                x[i] += w * wave_x;
                y[i] += w * wave_y;
                expected[i] += w * angle;
            }
        }
    }
    const real highest = weights[2 * padded], turn = (real)6.283185307179586;
#pragma unroll
    for (int i = 0; i < TILE; ++i) {
        if (z + i >= nz) break;
        const real sign = i % 2 ? -highest : highest;
        const real moved_x = x[i] - sign * alternating_y, moved_y = y[i] + sign * alternating_x;
        const real angle = atan2(moved_y, moved_x);
        amplitude[(z + i) * pixels] = hypot(moved_x, moved_y);
        phase[(z + i) * pixels] = angle + turn * rint((expected[i] - angle) / turn);
    }
}

// Columns of `width` pixels, a power of two up to THREADS, in shared memory, in place. Nothing happens
// without a shift.
extern "C" __global__ void move(real *amplitude, real *phase, long long volumes, long long nz,
                                long long padded, long long pixels, long long width, const double *shift,
                                const real *weights) {
    if (shift[0] == 0) return;
    SHARED(real, near);
    real *rows = near + 2 * padded + 1;
    const int across = (int)width, plane = (int)(padded * width), column = threadIdx.x % across;
    const int first = threadIdx.x / across, step = THREADS / across;
    const index_t per_volume = (pixels + width - 1) / width;
    for (int i = threadIdx.x; i <= 2 * padded; i += THREADS) near[i] = weights[i];
    for (index_t tile = blockIdx.x; tile < volumes * per_volume; tile += gridDim.x) {
        const index_t volume = tile / per_volume, pixel = (tile - volume * per_volume) * across + column;
        const bool inside = pixel < pixels;
        real *a = amplitude + volume * nz * pixels + pixel, *p = phase + volume * nz * pixels + pixel;
        __syncthreads();  // the last columns have been read
        for (int z = first; z < padded; z += step) {
            const bool there = inside && z < nz;
            to_row(there ? a[z * pixels] : 0, there ? p[z * pixels] : 0, rows + z * across + column, plane);
        }
        __syncthreads();
        for (int z = first * TILE; inside && z < nz; z += step * TILE)
            move_tile(rows + column, across, near, z, nz, padded, a, p, pixels);
    }
}

// The same for columns that are too long for shared memory, in two steps by way of `rows`, for the
// pixels from `first` on of one volume.
extern "C" __global__ void to_rows(const real *amplitude, const real *phase, long long nz, long long padded,
                                   long long pixels, long long first, long long width, const double *shift,
                                   real *rows) {
    if (shift[0] == 0) return;
    for (index_t i = first_index(); i < padded * width; i += grid_stride()) {
        const index_t z = i / (index_t)width, at = z * pixels + first + (i - z * width);
        to_row(z < nz ? amplitude[at] : 0, z < nz ? phase[at] : 0, rows + i, padded * width);
    }
}

extern "C" __global__ void move_rows(real *amplitude, real *phase, long long nz, long long padded,
                                     long long pixels, long long first, long long width,
                                     const double *shift, const real *weights, const real *rows) {
    if (shift[0] == 0) return;
    for (index_t i = first_index(); i < padded / TILE * width; i += grid_stride()) {
        const index_t tile = i / (index_t)width, column = i - tile * width;
        move_tile(rows + column, width, weights, tile * TILE, nz, padded, amplitude + first + column,
                  phase + first + column, pixels);
    }
}

// Sums of the first and the second of each pair; an even stride keeps each thread with one of them.
extern "C" __global__ void sum_pairs(const real *shifts, long long size, double *sums) {
    double sum = 0;
    for (index_t i = first_index(); i < size; i += grid_stride()) sum += shifts[i];
    const double first = block_sum(threadIdx.x % 2 ? 0 : sum), second = block_sum(threadIdx.x % 2 ? sum : 0);
    if (threadIdx.x > 0) return;
    sums[2 * blockIdx.x] = first;
    sums[2 * blockIdx.x + 1] = second;
}

extern "C" __global__ void subtract_mean(real *shifts, long long size, const double *sums, long long parts,
                                         double share) {
    double sum = 0;
    for (index_t i = 0; i < parts; ++i) sum += sums[2 * i + threadIdx.x % 2];
    const real mean = (real)(share * sum);
    for (index_t i = first_index(); i < size; i += grid_stride()) shifts[i] -= mean;
}
