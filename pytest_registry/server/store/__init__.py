"""What the registry holds: contents by digest, and an index of who holds which of them."""
