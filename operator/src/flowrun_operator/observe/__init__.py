"""From raw objects of the API server to the facts that decisions need. Pure functions, no I/O."""
