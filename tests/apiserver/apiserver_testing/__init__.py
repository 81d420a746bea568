"""A real API server without nodes, a proxy that injects faults, and a kubelet played by the test."""
