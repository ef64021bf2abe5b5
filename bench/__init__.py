"""Measures Balie as shipped against bare handlers, in one run: see `python -m bench --help`."""
