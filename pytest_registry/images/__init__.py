"""Images before they are pushed: where they come from, made ones, and how they travel."""
