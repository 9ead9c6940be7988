"""How much is worked on at a time where scratch memory is needed."""

from __future__ import annotations

# Scratch memory that nobody misses on a GPU: it keeps any device busy, and up to here a large L2
# cache holds much of it. Filters in batches of a tenth of the object took ten times the launches at
# 20×512×512, 2 ms of host time for 0.4 ms on the device.
_ENOUGH = 32 << 20
# Scratch memory of large objects, as a part of them, and in bytes.
_PART = 10
_MOST = 64 << 20


def at_a_time(number: int, scratch: int, *, of: int, even: bool = False) -> int:
    """Return how many of `number` items to work on at a time, in batches of about the same size.

    Parameters
    ----------
    number : int
        Items in all.
    scratch : int
        Bytes of scratch memory of one item.
    of : int
        Bytes of one item itself.
    even : bool
        Whether batches that are followed by another have to have an even number of items.
    """
    room = min(max(_ENOUGH, number * of // _PART), _MOST)
    most = max(1, room // scratch)
    # an even share of the items, so that the last batch finds the plan of the others more often
    share = -(-number // -(-number // most))
    return share if share == number or not even else max(2, share - share % 2)
