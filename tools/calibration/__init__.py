"""Fitting the recognition's probabilities, and measuring whether they mean what they say."""
