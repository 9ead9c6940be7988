"""The same constraints on arrays that do not fit: steps, passes over regions, and who runs them."""
