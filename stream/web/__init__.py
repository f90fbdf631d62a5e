"""The operator's web application: accounts, people, review, settings, and the way to the live view."""
