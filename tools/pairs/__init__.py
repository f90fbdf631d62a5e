"""The parts of make_pairs: which faces are fit for pairs, and what is written of each pair."""
