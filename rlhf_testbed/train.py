"""One training job from the command line: `accelerate launch -m rlhf_testbed.train`.

    accelerate launch -m rlhf_testbed.train --config configs/corridor.yaml --knowledge 0 --seed 3 \
        --output_dir runs/x

`selection/job.py` is what it does.
"""

from __future__ import annotations

from rlhf_testbed.selection.job import main

if __name__ == "__main__":
    main()
