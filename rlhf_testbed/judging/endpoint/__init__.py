"""Asking a chat server for verdicts: the request, its answer, the cache, the client, what it cost.

Needs the extra `endpoint`, which is imported once a server is asked and not before. No torch.
"""
