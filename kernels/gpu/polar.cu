// A complex object as amplitude and phase, each slice's phase about its own mean, and back.

// In (-π, π], and 0 for 0: of negative zeros atan2 makes -π, or π instead of 0.
template <typename T>
__device__ inline T angle_of(T x, T y) {
    return atan2(y == 0 ? (T)0 : y, x == 0 ? (T)0 : x);
}

// Sums over each slice, real and imaginary, in `parts` partial sums.
extern "C" __global__ void sum_slices(const complex_t *object, long long slices, long long pixels,
                                      long long parts, double *sums) {
    for (index_t task = blockIdx.x; task < slices * parts; task += gridDim.x) {
        const index_t slice = task / (index_t)parts, part = task - slice * parts;
        const complex_t *values = object + slice * pixels;
        double real_sum = 0, imag_sum = 0;
        for (index_t i = part * THREADS + threadIdx.x; i < pixels; i += (index_t)parts * THREADS) {
            real_sum += values[i].x;
            imag_sum += values[i].y;
        }
        real_sum = block_sum(real_sum);
        imag_sum = block_sum(imag_sum);
        if (threadIdx.x > 0) continue;
        sums[2 * task] = real_sum;
        sums[2 * task + 1] = imag_sum;
    }
}

// From these the phase of each slice's sum, on the branch nearest to the slice before; 0 where there is
// no sum. A block for each volume.
extern "C" __global__ void chain_phases(const double *sums, long long volumes, long long nz, long long parts,
                                        double *phases) {
    const double turn = 6.283185307179586;
    for (index_t volume = blockIdx.x; volume < volumes; volume += gridDim.x) {
        double *chain = phases + volume * nz;
        for (index_t z = threadIdx.x; z < nz; z += THREADS) {
            const double *of_slice = sums + 2 * (volume * nz + z) * parts;
            double x = 0, y = 0;
            for (index_t i = 0; i < parts; ++i) {
                x += of_slice[2 * i];
                y += of_slice[2 * i + 1];
            }
            chain[z] = isfinite(x) && isfinite(y) ? angle_of(x, y) : 0;
        }
        __syncthreads();
        if (threadIdx.x > 0) continue;
        // counted in turns, so that rounding does not add up with depth
        double before = chain[0], turns = 0;
        for (index_t z = 1; z < nz; ++z) {
            const double angle = chain[z];
            turns += rint((before - angle) / turn);
            before = angle;
            chain[z] = angle + turn * turns;
        }
    }
}

// The angle on the branch nearest to its slice's reference phase.
__device__ inline real phase_of(complex_t value, real mean) {
    const real turn = (real)6.283185307179586, angle = angle_of(value.x, value.y);
    return angle + turn * rint((mean - angle) / turn);
}

__device__ inline complex_t from_polar(real modulus, real angle) {
    real sine, cosine;
#if SINGLE
    sincosf(angle, &sine, &cosine);
#else
    sincos(angle, &sine, &cosine);
#endif
    complex_t value;
    value.x = modulus * cosine;
    value.y = modulus * sine;
    return value;
}

extern "C" __global__ void to_parts(const complex_t *object, long long size, long long pixels,
                                    const double *reference, real *amplitude, real *phase) {
    for (index_t i = first_index(); i < size; i += grid_stride()) {
        const complex_t value = object[i];
        amplitude[i] = hypot(value.x, value.y);
        phase[i] = phase_of(value, (real)reference[i / (index_t)pixels]);
    }
}

extern "C" __global__ void to_amplitude(const complex_t *object, long long size, real *amplitude) {
    for (index_t i = first_index(); i < size; i += grid_stride()) {
        amplitude[i] = hypot(object[i].x, object[i].y);
    }
}

extern "C" __global__ void to_phase(const complex_t *object, long long size, long long pixels,
                                    const double *reference, real *phase) {
    for (index_t i = first_index(); i < size; i += grid_stride()) {
        phase[i] = phase_of(object[i], (real)reference[i / (index_t)pixels]);
    }
}

extern "C" __global__ void to_object(const real *amplitude, const real *phase, long long size,
                                     complex_t *object) {
    for (index_t i = first_index(); i < size; i += grid_stride()) {
        object[i] = from_polar(amplitude[i], phase[i]);
    }
}

extern "C" __global__ void replace_amplitude(const real *amplitude, long long size, complex_t *object) {
    // moduli whose inverse is exact to rounding; others, and 0, by way of the angle
    const real largest = (real)(SINGLE ? 1e30 : 1e300);
    for (index_t i = first_index(); i < size; i += grid_stride()) {
        complex_t value = object[i];
        const real modulus = hypot(value.x, value.y), scale = amplitude[i];
        if (modulus * largest >= 1 && modulus <= largest) {
            // A/|O| may overflow, x/|O| cannot
            value.x = scale * (value.x / modulus);
            value.y = scale * (value.y / modulus);
        } else {
            value = from_polar(scale, angle_of(value.x, value.y));
        }
        object[i] = value;
    }
}

extern "C" __global__ void replace_phase(const real *phase, long long size, complex_t *object) {
    for (index_t i = first_index(); i < size; i += grid_stride()) {
        object[i] = from_polar(hypot(object[i].x, object[i].y), phase[i]);
    }
}
