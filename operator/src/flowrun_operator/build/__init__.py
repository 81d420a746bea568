"""Manifests as plain dicts, made by pure functions from the API's models."""
