"""Imported last by the server that jobs are forked from: leaves no garbage to be looked for.

What was imported stays until the end. Frozen, it is neither copied into every job by a collector
that marks it, nor looked through when the server ends, which for torch takes a second.
"""

from __future__ import annotations

import gc

gc.freeze()
