"""Many runs at once on Ray, and the records they leave. Nothing imports ray before a cluster is asked for."""
