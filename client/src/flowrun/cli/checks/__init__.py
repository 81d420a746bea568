"""What could go wrong, looked at before it does: a manifest, an installation."""
