"""Studio apps that run, and instances and apps that nobody watches; optionally a cap by age."""
