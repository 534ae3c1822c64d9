"""Arms, base policies and training seeds together: plan, jobs, gates, contrasts, results."""
