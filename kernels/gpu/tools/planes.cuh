// Planes with weights, over which rows of blocks go.

// Weights where no array has them.
struct everywhere_t {
    __device__ everywhere_t operator+(index_t) const { return *this; }
    __device__ real operator[](index_t) const { return 1; }
};

// As `store_change`, of a grid of (columns, rows) of blocks.
__device__ inline void store_of_rows(change_t change, double *changed, double *before) {
    const index_t row = blockIdx.y * gridDim.x;
    store_change(change.difference, change.old, changed + row, before + row);
}
