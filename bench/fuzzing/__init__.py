"""Random cases: each module has ``case(seed, number)``, which says in a word how it went."""
