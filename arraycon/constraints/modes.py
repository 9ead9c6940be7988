"""Probe modes: orthogonalisation and total intensity."""

from __future__ import annotations

from arraycon.blocks import OnBlock
from arraycon.constraints.declare import register
from arraycon.kernels import modes


@register(modes.ortho_pmode, on="probe", returns=["rotation"], shapeless=True)
class OrthoPmode(OnBlock):
    """Make the probe modes orthogonal and sort them by power."""


@register(modes.fix_probe_int, on="probe", scalars={"intensity": "probe_intensity"}, shapeless=True)
class FixProbeInt(OnBlock):
    """Restore the probe's total intensity."""
