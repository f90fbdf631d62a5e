"""`unvizard demo`: a street, its camera and the people who walk through it."""
