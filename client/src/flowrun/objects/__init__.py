"""FlowRun and TaskCluster for scripts and notebooks: the models of the API, and what can be done with them."""
