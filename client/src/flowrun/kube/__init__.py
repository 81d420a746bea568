"""All requests to the Kubernetes API, with the rights of the user's kubeconfig: one file per kind of object."""
