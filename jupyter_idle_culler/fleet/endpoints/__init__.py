"""Endpoints that nobody uses: found, told of, scaled to zero or removed after a grace, restored.

What is there (`reading`), what CloudWatch says of it (`metrics`), what that means (`idleness`), and
what is done (`marks`, `removal`, `scaling`, `restoring`); `run` drives them.
"""
