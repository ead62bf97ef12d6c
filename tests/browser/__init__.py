"""Tests in a real browser: what JupyterLab really sends while documents stand open in it."""
