"""Jobs side by side. An engine knows nothing of what a job is."""
