"""The decision: pure, standard library only, no clock, no I/O (Python 3.8 syntax)."""
