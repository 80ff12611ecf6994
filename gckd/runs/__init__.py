"""Planning, execution and records of runs. Nothing here imports Ray."""
