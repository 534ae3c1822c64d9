"""Selection: one loop, a file for each method, and one training job."""
