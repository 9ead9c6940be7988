"""The constraints on the array API standard alone: the reference for every other backend.

The functions take validated arguments, plain numbers and the namespace `xp`, return new arrays of
the input's dtype and never write to an input.
"""
