"""Clients of a registry: OCI over HTTP, the docker SDK, and commands. Nothing is imported here."""
