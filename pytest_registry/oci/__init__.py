"""Names, media types, descriptors and manifests of the OCI specifications: pure data."""
