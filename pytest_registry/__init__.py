"""A real OCI registry for a test suite: one per run, logged in to, filled, never overloaded."""
