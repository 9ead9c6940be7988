// Figures about arrays.

// Σ(x - y)² and Σy² of each block; real and imaginary parts are summed up alike.
extern "C" __global__ void squares(const real *x, const real *y, long long size, double *changed,
                                   double *before) {
    change_t change = {0, 0};
    for (index_t i = first_index(); i < size; i += grid_stride()) change.add(x[i], y[i]);
    store_change(change.difference, change.old, changed, before);
}

// The sums of the blocks added up, by one block.
extern "C" __global__ void add_up(const double *changed, const double *before, long long number,
                                  double *sums) {
    double difference = 0, old = 0;
    for (index_t i = threadIdx.x; i < number; i += blockDim.x) {
        difference += changed[i];
        old += before[i];
    }
    difference = block_sum(difference);
    old = block_sum(old);
    if (threadIdx.x == 0) {
        sums[0] = difference;
        sums[1] = old;
    }
}
