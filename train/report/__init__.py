"""The report: what runs achieved, as a table in the terminal and as one HTML page with plots."""
