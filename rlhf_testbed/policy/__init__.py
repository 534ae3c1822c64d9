"""Policies: language models, the base policies that selection starts from, and exact scoring."""
