"""A testbed that measures two threats of RLHF apart: selection for bad behaviour, and induced
goal-directedness. Start with the README; every figure is defined in `docs/METRICS.md`."""

from rlhf_testbed.aliases import install

install()
