"""A small ptychographic reconstruction that uses the constraints as any other code would.

`specimen` and `simulate` make data, `loading` reads them, into the one form of `dataset`;
`forward` is the multislice model, `reconstruct` the mixed-state ePIE; `with_truth` and
`without_truth` plan and judge a pair of reconstructions by `scores`; `figures` draws them.
"""
