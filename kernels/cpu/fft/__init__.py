"""Transforms of single slices in place: our own, and those of a library under the same contract.

`contract` says what both offer, `transform` (with `butterflies` and `lanes`) is ours, `library` is
SciPy's or ducc0's, `choice` says which of them takes a slice.
"""
