"""Evidence: one module a source, each with one async method, `observe`."""
