"""Networks in int8: making them, and finding out what that costs recognition."""
