"""Raw files -> dataset directory, and the directory read back."""
