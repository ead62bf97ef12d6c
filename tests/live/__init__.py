"""Tests against a whole server with real kernels, terminals and processes, alone in its world."""
