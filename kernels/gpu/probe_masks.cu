// Probe masks in reciprocal and in real space. How many modes are masked only the device knows: they
// are the first `masked[0]` of the modes sorted by power.

// Exponentials of these are finite; beyond, the results are 0 or 1 anyway.
#define LARGEST_EXPONENT 700.0
#define LARGEST_LOG_EXPONENT 7.5
// Frequencies that miss a hard edge by less, in fractions of Nyquist, are on it.
#define ON_EDGE 1e-12
// Stands for a distance of 0 where its logarithm is taken.
#define TINY 1e-300

struct __align__(16) wide_t {
    double x, y;
};

// Strongest first, NaN before all, equal powers in their order.
__device__ inline bool precedes(double a, double b, bool earlier) {
    if (isnan(a) || isnan(b)) return isnan(a) && (!isnan(b) || earlier);
    return a > b || (a == b && earlier);
}

// Order of the modes by power, and how many are masked: all before which the fraction of the power
// does not exceed `thresh`. By one block; `sorted` are the powers in that order.
extern "C" __global__ void select_modes(const double *powers, long long modes, double thresh,
                                        double *sorted, long long *order, long long *masked) {
    for (index_t i = threadIdx.x; i < modes; i += blockDim.x) {
        index_t rank = 0;
        for (index_t j = 0; j < modes; ++j) rank += precedes(powers[j], powers[i], j < i);
        order[rank] = i;
        sorted[rank] = powers[i];
    }
    __syncthreads();
    if (threadIdx.x > 0) return;
    double total = 0;
    for (index_t i = 0; i < modes; ++i) total += sorted[i];
    if (!(total > 0)) total = 1;
    double sum = 0, fraction = 0;
    index_t number = 0;
    while (number < modes && fraction <= thresh) {
        sum += sorted[number++];
        // rounding must not carry it past 1, or a threshold of 1 would leave weak modes out
        fraction = sum / total > 1 ? 1 : sum / total;
    }
    *masked = number;
}

extern "C" __global__ void gather_modes(const complex_t *source, const long long *order, long long modes,
                                        long long pixels, complex_t *target) {
    for (index_t m = blockIdx.y; m < modes; m += gridDim.y) {
        const complex_t *from = source + (index_t)order[m] * (index_t)pixels;
        complex_t *to = target + m * (index_t)pixels;
        for (index_t i = first_index(); i < pixels; i += grid_stride()) to[i] = from[i];
    }
}

// The modes that are not masked as they were, instead of what transforms have made of them.
extern "C" __global__ void restore_modes(const complex_t *source, const long long *order,
                                         const long long *masked, long long modes, long long pixels,
                                         complex_t *target) {
    for (index_t m = *masked + blockIdx.y; m < modes; m += gridDim.y) {
        const complex_t *from = source + (index_t)order[m] * (index_t)pixels;
        complex_t *to = target + m * (index_t)pixels;
        for (index_t i = first_index(); i < pixels; i += grid_stride()) to[i] = from[i];
    }
}

// Frequency in fractions of Nyquist.
__device__ inline double frequency(index_t i, index_t n) {
    return 2 * ((double)(i < (n + 1) / 2 ? i : i - n) / n);
}

// M(f) = 1/(1 + exp(5 (f - radius)/width)), ½ on a hard edge.
__device__ inline double low_pass(double y, double x, double radius, double width) {
    const double distance = sqrt(y * y + x * x) - radius;
    if (width == 0) return fabs(distance) <= ON_EDGE ? 0.5 : distance < 0 ? 1.0 : 0.0;
    // clipped before the division, which could overflow for a tiny width
    const double limit = LARGEST_EXPONENT * width;
    return 1 / (1 + exp(max(-limit, min(limit, 5 * distance)) / width));
}

// The masked modes' spectra times scale·M(f).
extern "C" __global__ void mask_spectra(complex_t *spectra, const long long *masked, long long ny,
                                        long long nx, double radius, double width, double scale) {
    const index_t pixels = (index_t)(ny * nx), modes = (index_t)*masked;
    for (index_t i = first_index(); i < pixels; i += grid_stride()) {
        const double y = frequency(i / (index_t)nx, (index_t)ny);
        const double x = frequency(i % (index_t)nx, (index_t)nx);
        const real mask = (real)(scale * low_pass(y, x, radius, width));
        for (index_t m = 0; m < modes; ++m) {
            spectra[m * pixels + i].x *= mask;
            spectra[m * pixels + i].y *= mask;
        }
    }
}

// The masked modes times exp(-½ (R/radius)^power), R in half-widths from pixel (ny//2, nx//2); by
// logarithms, so that no power overflows.
extern "C" __global__ void window_modes(complex_t *probe, const long long *masked, long long ny,
                                        long long nx, double log_radius, double power) {
    const index_t pixels = (index_t)(ny * nx), modes = (index_t)*masked;
    for (index_t i = first_index(); i < pixels; i += grid_stride()) {
        const double y = (double)(i / (index_t)nx - (index_t)ny / 2) / (0.5 * ny);
        const double x = (double)(i % (index_t)nx - (index_t)nx / 2) / (0.5 * nx);
        const double log_ratio = 0.5 * log(max(y * y + x * x, TINY)) - log_radius;
        const real window = (real)exp(-0.5 * exp(min(power * log_ratio, LARGEST_LOG_EXPONENT)));
        for (index_t m = 0; m < modes; ++m) {
            probe[m * pixels + i].x *= window;
            probe[m * pixels + i].y *= window;
        }
    }
}

// The strongest mode in double, scaled to a power of 1, so that no fourth power overflows, and by
// the number of pixels for the transforms to come.
extern "C" __global__ void take_strongest(const complex_t *probe, const long long *order,
                                          const double *sorted, long long pixels, wide_t *mode) {
    const complex_t *strongest = probe + (index_t)order[0] * (index_t)pixels;
    const double power = sorted[0];
    // where the power itself is out of range, a step that brings the mode's fourth powers into it
    const double size = isinf(power) ? 0x1p768 : power > 0 ? sqrt(power) : 0x1p-790;
    const double scale = 1 / (size * pixels);
    for (index_t i = first_index(); i < pixels; i += grid_stride())
        mode[i] = {scale * strongest[i].x, scale * strongest[i].y};
}

// Σ|P|⁴ of each plane over the pixels of each block: `sums` is (planes, blocks), and takes these
// planes from number `first` on. Planes beyond the last one fill the batch only.
extern "C" __global__ void add_fourth_powers(const complex_t *planes, long long pixels, long long first,
                                             long long all_planes, double *sums) {
    const index_t plane = (index_t)first + blockIdx.y;
    if (plane >= all_planes) return;
    double sum = 0;
    for (index_t i = first_index(); i < pixels; i += grid_stride()) {
        const complex_t value = planes[blockIdx.y * (index_t)pixels + i];
        const double x = value.x, y = value.y, power = x * x + y * y;
        sum += power * power;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[plane * gridDim.x + blockIdx.x] = sum;
}

// Where the sums are largest; the first of the planes whose sums differ by rounding alone. By one
// block; each plane's blocks are added up in its first number.
extern "C" __global__ void find_focus(double *sums, long long planes, long long blocks, double tie,
                                      double start, double step, double *distance) {
    __shared__ double largest[THREADS];
    __shared__ long long sharpest[THREADS];
    double found = -1;
    for (index_t p = threadIdx.x; p < planes; p += THREADS) {
        double sum = 0;
        for (index_t i = 0; i < blocks; ++i) sum += sums[p * blocks + i];
        sums[p * blocks] = sum;
        found = sum > found || isnan(sum) ? sum : found;
    }
    largest[threadIdx.x] = found;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x >= half) continue;
        const double other = largest[threadIdx.x + half];
        if (other > largest[threadIdx.x] || isnan(other)) largest[threadIdx.x] = other;
    }
    __syncthreads();
    long long plane = planes;
    for (index_t p = threadIdx.x; p < planes && plane == planes; p += THREADS)
        if (sums[p * blocks] >= (1 - tie) * largest[0]) plane = p;
    sharpest[threadIdx.x] = plane;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half)
            sharpest[threadIdx.x] = min(sharpest[threadIdx.x], sharpest[threadIdx.x + half]);
    }
    // none among NaN: the first
    if (threadIdx.x == 0) *distance = start + step * (sharpest[0] < planes ? sharpest[0] : 0);
}
