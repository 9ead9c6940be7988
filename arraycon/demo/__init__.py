"""A small ptychographic reconstruction that uses the constraints as any other code would.

`forward` is the multislice model, `reconstruct` the mixed-state ePIE, `settings` how it goes.
`specimen` and `simulate` make data; `loading` reads them, `checks` refuses what does not fit; all
give the one form of `dataset`. A `plan` holds the pair, or pairs, to compare, with the `presets`
for the kind of specimen, which is the `choice` of a first pass, and `runs` does them; `with_truth`
and `without_truth` judge by `scores`, `depth` by what single scattering can show; `figures` draws
and `report` writes. `study` has an experiment for each constraint.
"""
