"""What several families of CPU kernels share: compilation, elementary functions, selection."""
