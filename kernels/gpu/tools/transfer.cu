// Linear filters by an even transfer function T of 1-D axes: spectra, over an item's axes, a slice's or
// a volume's, times keep + share·T; nz is 1 for slices. Of periodic axes they have all columns or, of
// real items, nx/2 + 1. Neither cuFFT nor these kernels normalise them but by keep and share.
//
// Axes are periodic, or MIRRORED: along x (1), y (2), in depth (4). Spectra are then those of the real
// samples in another order, and a cosine transform, a multiplication and its inverse are one pass
// over them: along a mirrored axis of n the bins k and l = n - k of a spectrum V belong together.
// With p = exp(-iπ k/2n), the coefficients are X_k = (p V_k + p* V_l)/2, X_l = i (p V_k - p* V_l)/2,
// and back, V_k = p* (X_k - i X_l), V_l = p (X_k + i X_l). What is transformed along x comes last,
// from real numbers: V_l = V_k* is not stored, and p V_k = X_k - i X_l.

#ifndef MIRRORED
#define MIRRORED 0
#endif
// Bins that belong together along each axis.
#define WIDE (MIRRORED & 1 ? 2 : 1)
#define TALL (MIRRORED & 2 ? 2 : 1)
#define DEEP (MIRRORED & 4 ? 2 : 1)

// What spectra are multiplied by: keep + share·T.
struct factor_t {
    double keep, share;
};

// A bin of a periodic axis, or a pair of bins of a mirrored one; where n - k is n it is k.
template <int BINS>
struct bins_t {
    index_t places[2], frequencies[2];
    complex_t wave;

    __device__ bins_t(index_t k, index_t n) {
        const index_t l = k ? n - k : 0;
        places[0] = k;
        places[1] = l;
        frequencies[0] = BINS == 2 ? k : min(k, l);
        frequencies[1] = l;
        if (BINS == 2) wave = quarter_wave(k, n);
    }
};

// Twice the coefficients of a pair of bins.
__device__ inline void to_coefficients(complex_t &v, complex_t &w, complex_t wave) {
    const complex_t a = product(wave, v), b = unwind(wave, w);
    v = {a.x + b.x, a.y + b.y};
    w = {b.y - a.y, a.x - b.x};
}

__device__ inline void to_bins(complex_t &v, complex_t &w, complex_t wave) {
    const complex_t a = {v.x + w.y, v.y - w.x}, b = {v.x - w.y, v.y + w.x};
    v = unwind(wave, a);
    w = product(wave, b);
}

// Multiply spectra of items; T of the moduli of the frequencies, in steps along each axis, is the
// same in each of them, and so computed once, in double precision as the reference does.
template <class Transfer>
__device__ inline void multiply(complex_t *spectra, index_t number, index_t nz, index_t ny, index_t nx,
                                index_t columns, factor_t factor, Transfer transfer) {
    const index_t depths = DEEP == 2 ? nz / 2 + 1 : nz, rows = TALL == 2 ? ny / 2 + 1 : ny;
    const index_t size = depths * rows * columns;
    for (index_t i = first_index(); i < size; i += grid_stride()) {
        const index_t row = i / columns;
        const bins_t<DEEP> z(row / rows, nz);
        const bins_t<TALL> y(row % rows, ny);
        const bins_t<WIDE> x(i % columns, nx);
        real weights[2][2][2];
#pragma unroll
        for (int a = 0; a < DEEP; ++a)
#pragma unroll
            for (int b = 0; b < TALL; ++b)
#pragma unroll
                for (int c = 0; c < WIDE; ++c) {
                    const double value = transfer(z.frequencies[a], y.frequencies[b], x.frequencies[c]);
                    weights[a][b][c] = (factor.keep + factor.share * value) / (DEEP * TALL);
                }
        for (index_t item = 0; item < number; ++item) {
            complex_t *spectrum = spectra + item * nz * ny * columns + x.places[0];
            complex_t v[2][2];
#pragma unroll
            for (int a = 0; a < DEEP; ++a)
#pragma unroll
                for (int b = 0; b < TALL; ++b)
                    v[a][b] = spectrum[(z.places[a] * ny + y.places[b]) * columns];
#pragma unroll
            for (int b = 0; b < TALL && DEEP == 2; ++b) to_coefficients(v[0][b], v[1][b], z.wave);
#pragma unroll
            for (int a = 0; a < DEEP && TALL == 2; ++a) to_coefficients(v[a][0], v[a][1], y.wave);
#pragma unroll
            for (int a = 0; a < DEEP; ++a)
#pragma unroll
                for (int b = 0; b < TALL; ++b) {
                    complex_t value = v[a][b];
                    if (WIDE == 2) value = product(x.wave, value);
                    value.x *= weights[a][b][0];
                    value.y *= weights[a][b][WIDE - 1];
                    v[a][b] = WIDE == 2 ? unwind(x.wave, value) : value;
                }
#pragma unroll
            for (int a = 0; a < DEEP && TALL == 2; ++a) to_bins(v[a][0], v[a][1], y.wave);
#pragma unroll
            for (int b = 0; b < TALL && DEEP == 2; ++b) to_bins(v[0][b], v[1][b], z.wave);
#pragma unroll
            for (int a = 0; a < DEEP; ++a)
#pragma unroll
                for (int b = 0; b < TALL; ++b)
                    spectrum[(z.places[a] * ny + y.places[b]) * columns] = v[a][b];
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

// T = 1/(1 + exp(5·(f - radius)/width)), f = 2·q. f - radius decides in double precision, because the
// edge may be much steeper than the frequencies are far apart.
extern "C" __global__ void soft_edge(complex_t *spectra, long long number, long long nz, long long ny,
                                     long long nx, long long columns, double keep, double share,
                                     double step_y, double step_x, double radius, double width) {
    const double limit = (SINGLE ? 80 : 700) * width;  // the exponential stays finite
    multiply(spectra, number, nz, ny, nx, columns, {keep, share}, [=](double, double y, double x) {
        const double fy = y * step_y, fx = x * step_x;
        const double distance = sqrt(fy * fy + fx * fx) - radius;
        if (width == 0) return fabs(distance) <= 1e-12 ? 0.5 : distance < 0 ? 1.0 : 0.0;
        const real exponent = max(-limit, min(limit, 5 * distance)) / width;
        const double mask = 1 / (1 + exp(exponent));
        return mask < 1e-20 ? 0.0 : mask;  // no denormal numbers
    });
}

// Which samples an order begins with: items (number, nz, ny, nx) of `parts` real numbers each, whose
// parts are transformed apart. Rows of the samples are as long as their spectra, and take no more
// memory than these; a thread moves two neighbours, so that both sides of a warp lie side by side.
template <class Move>
__device__ inline void each_pair(index_t number, index_t nz, index_t ny, index_t nx, index_t parts, Move move) {
    const index_t pairs = (nx + 1) / 2, pitch = 2 * (nx / 2 + 1);
    for (index_t i = first_index(); i < number * nz * ny * pairs; i += grid_stride()) {
        const index_t j = i % pairs, row = i / pairs, y = row % ny, z = row / ny % nz, item = row / ny / nz;
        const index_t above = DEEP == 2 ? reordered(z, nz) : z, line = TALL == 2 ? reordered(y, ny) : y;
        const index_t left = WIDE == 2 ? j : 2 * j, right = WIDE == 2 ? nx - 1 - j : 2 * j + 1;
        for (index_t part = 0; part < parts; ++part) {
            const index_t start = (((item * parts + part) * nz + above) * ny + line) * pitch;
            const index_t from = (row * nx + 2 * j) * parts + part;
            move(from, start + left);
            if (2 * j + 1 < nx) move(from + parts, start + right);
        }
    }
}

extern "C" __global__ void to_samples(const real *x, real *samples, long long number, long long nz,
                                      long long ny, long long nx, long long parts) {
    each_pair(number, nz, ny, nx, parts, [=](index_t from, index_t to) { samples[to] = x[from]; });
}

extern "C" __global__ void from_samples(real *x, const real *samples, long long number, long long nz,
                                        long long ny, long long nx, long long parts) {
    each_pair(number, nz, ny, nx, parts, [=](index_t to, index_t from) { x[to] = samples[from]; });
}
