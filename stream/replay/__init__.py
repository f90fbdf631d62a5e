"""Footage played again, processed anew, under other settings, and handed on."""
