"""What travels between the flow's process and the workers, and in which form. Knows no engine."""
