# The cluster, its images and the tools. Included by the Makefile; each target can be repeated at any time.

.PHONY: cluster-up cluster-down images tools

cluster-up: ## Start a cluster, or find it running: KUBECONFIG's, kind (Docker), or the bundled one (Linux, root)
	@dev/cluster-up

cluster-down: ## Stop the cluster and remove its traces from this host
	@dev/cluster-down

images: ## Build the container images and load them; IMAGES="operator" for some of them
	@dev/images.sh $(IMAGES)

tools: ## Put kubectl, helm and helm-unittest into .local/bin where the host has none
	@dev/tools.sh
