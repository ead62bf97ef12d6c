"""The scripts of lifecycle-configs, run for real in throw-away roots."""
