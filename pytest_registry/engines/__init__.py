"""What serves the registry: a container, the embedded server, or one that already runs."""
