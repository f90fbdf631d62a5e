"""What the demo clip shows: a drawn street and people who walk through it."""
