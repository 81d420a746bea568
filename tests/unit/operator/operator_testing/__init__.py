"""Test objects and an in-memory API server for the operator's unit tests."""
