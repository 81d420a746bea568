"""The loop: watch events fill the cache and the queue; each key is observed, decided on and acted upon."""
