"""What the conformance suite in `conformance/` needs beside its tests. Importable, for workers too."""
