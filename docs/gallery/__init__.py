"""Examples of constraints on small phantoms: what each is for, and when it hurts, with numbers.

A module per family, in it a function per constraint, of the constraint's name, that returns a
`cases.Example`. ``python docs/make_gallery.py`` draws them.
"""
