"""How objects show themselves in a notebook: tables and small pictures, as HTML without scripts.

Nothing here knows a constraint. Text and lines take the colours of the page, light or dark.
"""

from arraycon.showing.html import Markup, escaped, table
from arraycon.showing.pictures import on_host, pair
from arraycon.showing.states import state_table
from arraycon.showing.words import public, readable

__all__ = ["Markup", "escaped", "on_host", "pair", "public", "readable", "state_table", "table"]
