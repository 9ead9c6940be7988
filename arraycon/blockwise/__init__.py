"""Blockwise: the constraints on arrays that do not fit into memory, or into one machine."""
