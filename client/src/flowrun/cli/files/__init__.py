"""What the user has on this machine: manifests, a flow's file and its folder, parameters."""
