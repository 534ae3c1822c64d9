"""Measures: pure functions from arrays to numbers, each with its formula, source and units.

    from rlhf_testbed.measures.selection import selection_differential
    selection_differential([1.0, 1.0, 0.0, 0.0], [1, 1, 0, 0])  # 0.25: the trait is spreading

- `selection.py`, threat 1: is bad behaviour being selected, and is it approved?
- `goal_directedness.py`, threat 2: which candidate goal explains the policy, and by how many nats?
- `overoptimization.py`: how the full-knowledge score bends as optimisation goes on.
- `statistics.py`: intervals over training seeds, matched-seed tests, equivalence.
- `shares.py`: the interval of a share, within [0, 1].
- `nested.py`: training seeds within base policies: variance components, designs.
- `decisions.py`: moved, equivalent or undecided, corrected for the number of contrasts.
- `onset.py`: the update at which a curve sets on, and which of two curves is first.
- `arguments.py`: the checks of shapes and values that the others share.

No torch, no files, no state. What cannot be judged is NaN, never a number that looks like one.
"""
