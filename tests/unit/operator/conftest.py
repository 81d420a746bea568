"""Makes `operator_testing` importable: with import mode importlib pytest leaves sys.path alone."""

import sys
from pathlib import Path

# Appended, not inserted: the folders beside this file must not shadow any package.
sys.path.append(str(Path(__file__).parent))
