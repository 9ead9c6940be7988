// The missing-wedge filter, for whatever applies it in depth.

// The depth filter Wa of one lateral frequency: 2/pi·atan(1/t)·falloff, t = kz^2·ratio2, which keeps
// its digits where the filter is small. 1/0 is meant: Wa is largest there.
struct wedge_t {
    real ratio2, falloff;
    __device__ real at(double kz) const { return falloff * atan(1 / ((real)(kz * kz) * ratio2)); }
};

__device__ inline wedge_t wedge(index_t column, index_t ny, index_t nx, double beta2, double alpha,
                                double factor) {
    const index_t columns = nx / 2 + 1, row = column / columns;
    const double ky = (double)min(row, ny - row) / ny, kx = (double)(column % columns) / nx;
    const double lateral = ky * ky + kx * kx;
    // 1e-3 keeps it finite on the axis; the arctangent is saturated long before 1e30
    const double ratio2 = min(beta2 / (lateral + 1e-3), 1e30);
    return {(real)ratio2, (real)(factor * 0.63661977236758134308) * exp((real)(-alpha * lateral))};
}
