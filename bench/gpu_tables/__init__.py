"""Whole schedules and single constraints on a GPU: wall clock, host, device, floors, memory.

Wall clock with a synchronisation is what a user sees. The host's time is that until the call
returns. The device's alone shows when a kernel that spins is queued first, so that the host is done
before the events around the call are reached; and where it is not done by then, it has waited.
"""
