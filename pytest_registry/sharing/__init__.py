"""One registry for the run: who starts it, who keeps it alive, who cleans up after it."""
