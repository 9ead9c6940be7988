// Constraints that couple the object's amplitude to its phase, in place.

// 0, but NaN for a value that is not finite, which a limit would otherwise hide.
__device__ inline real zero_if_finite(real x) { return x - x; }

__device__ inline real log_amplitude(real amplitude, real floor) {
    return log(raise_to(floor, amplitude)) + zero_if_finite(amplitude);
}

// Σ|ln A| and Σ|φ| of each block.
extern "C" __global__ void sum_moduli(const real *amplitude, const real *phase, long long size, real floor,
                                      double *absorbed, double *shifted) {
    double absorption = 0, shift = 0;
    for (index_t i = first_index(); i < size; i += grid_stride()) {
        absorption += abs(log_amplitude(amplitude[i], floor));
        shift += abs(phase[i]);
    }
    absorption = block_sum(absorption);
    shift = block_sum(shift);
    if (threadIdx.x == 0) {
        absorbed[blockIdx.x] = absorption;
        shifted[blockIdx.x] = shift;
    }
}

// From the sums of the blocks, by one block: the weights that the common ratio gives to the phase in the
// new amplitude, and to the amplitude in the new phase.
extern "C" __global__ void find_weights(const double *absorbed, const double *shifted, long long number,
                                        double alpha1, double alpha2, double guard, real *weights) {
    double absorption = 0, shift = 0;
    for (index_t i = threadIdx.x; i < number; i += blockDim.x) {
        absorption += absorbed[i];
        shift += shifted[i];
    }
    absorption = block_sum(absorption);
    shift = block_sum(shift);
    if (threadIdx.x == 0) {
        const double ratio = absorption / (shift + guard);
        weights[0] = alpha1 * ratio;
        weights[1] = alpha2 / (ratio + guard);
    }
}

struct parts_t {
    real amplitude, phase;
};

// The logarithm is taken a second time, which spares a pass of writing.
__device__ inline parts_t mixed(real amplitude, real angle, real floor, real keep_amplitude, real keep_phase,
                                const real *weights) {
    const real logarithm = log_amplitude(amplitude, floor);
    return {exp(keep_amplitude * logarithm - weights[0] * angle), keep_phase * angle - weights[1] * logarithm};
}

extern "C" __global__ void mix(real *amplitude, real *phase, long long size, real floor, real keep_amplitude,
                               real keep_phase, const real *weights) {
    const real own[2] = {weights[0], weights[1]};
    for (index_t i = first_index(); i < size; i += grid_stride()) {
        const parts_t now = mixed(amplitude[i], phase[i], floor, keep_amplitude, keep_phase, own);
        amplitude[i] = now.amplitude;
        phase[i] = now.phase;
    }
}

// The changes of the amplitude, then those of the phase.
extern "C" __global__ void mix_measured(real *amplitude, real *phase, long long size, real floor,
                                        real keep_amplitude, real keep_phase, const real *weights,
                                        double *changed, double *before, double *turned, double *angles) {
    const real own[2] = {weights[0], weights[1]};
    change_t of_amplitude = {0, 0}, of_phase = {0, 0};
    for (index_t i = first_index(); i < size; i += grid_stride()) {
        const real old = amplitude[i], angle = phase[i];
        const parts_t now = mixed(old, angle, floor, keep_amplitude, keep_phase, own);
        of_amplitude.add(now.amplitude, old);
        of_phase.add(now.phase, angle);
        amplitude[i] = now.amplitude;
        phase[i] = now.phase;
    }
    store_change(of_amplitude.difference, of_amplitude.old, changed, before);
    store_change(of_phase.difference, of_phase.old, turned, angles);
}

// The power is 2^squarings, or any other where that is negative.
__device__ inline real absorbed_amplitude(real amplitude, real phase, real relax, real keep, real scale,
                                          real power, long long squarings) {
    real strength = raise_to(0, phase);
    if (squarings < 0) strength = pow(strength, power);
    for (int n = 0; n < squarings; ++n) strength *= strength;
    // a zeroth power would hide NaN as well
    const real left = raise_to(0, 1 - scale * strength + zero_if_finite(phase));
    return relax * amplitude + keep * left;
}

extern "C" __global__ void absorb(real *amplitude, const real *phase, long long size, real relax, real keep,
                                  real scale, real power, long long squarings) {
    for (index_t i = first_index(); i < size; i += grid_stride())
        amplitude[i] = absorbed_amplitude(amplitude[i], phase[i], relax, keep, scale, power, squarings);
}

extern "C" __global__ void absorb_measured(real *amplitude, const real *phase, long long size, real relax,
                                           real keep, real scale, real power, long long squarings,
                                           double *changed, double *before) {
    change_t change = {0, 0};
    for (index_t i = first_index(); i < size; i += grid_stride()) {
        const real old = amplitude[i];
        const real now = absorbed_amplitude(old, phase[i], relax, keep, scale, power, squarings);
        change.add(now, old);
        amplitude[i] = now;
    }
    store_change(change.difference, change.old, changed, before);
}
