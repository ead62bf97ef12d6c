"""What the culler costs and how punctual it is: each figure with its bound.

``python -m bench`` measures all of them, ``python -m bench NAME`` one group, ``--quick`` fewer
samples. Servers, kernels and processes are real; a plain server runs beside each server with the
culler, and the two are measured in pairs, at the same time or in turn, so that whatever else the
machine does falls on both.
"""
