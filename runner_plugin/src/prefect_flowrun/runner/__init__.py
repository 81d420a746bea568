"""The task runner in the flow's process: from `.submit` to the engine, and back to the future."""
