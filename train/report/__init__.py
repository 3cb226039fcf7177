"""The report: what runs achieved, as a table in the terminal and as one HTML page with plots."""

import os

# Shells of a notebook inherit its backend, which matplotlib refuses where it is not installed. Plots here are files.
os.environ["MPLBACKEND"] = "agg"
