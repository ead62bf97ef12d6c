"""Consequences: one module an action, each with one async method, `apply`."""
