"""Both threats of one run, at the end and through training, after training and never before."""
