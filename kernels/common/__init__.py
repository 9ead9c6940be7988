"""What all layers share: arrays, the choice of a layer, validation, transforms, threads, caches."""
