"""Lifecycle configurations: the scripts filled in, created, attached and detached."""
