"""What several families of CUDA kernels share: sources, launches, cuFFT, selection, optics."""
