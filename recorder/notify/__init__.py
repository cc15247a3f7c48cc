"""Events: what happened to groups and to the upstream, told once each."""
