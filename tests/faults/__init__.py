"""Runs that are struck for real, again and again, and end as if nothing had been."""
