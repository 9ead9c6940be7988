"""``python -m arraycon`` where there is no GPU: PtyRAD's command counts them, and refuses to run.

On the CPU PyTorch's distributed processes talk by gloo, which needs none.
"""

from __future__ import annotations

import os

from declare import declare_operators

declare_operators()
import torch  # noqa: E402

torch.cuda.device_count = lambda: int(os.environ.get("WORLD_SIZE", 1))

from arraycon.__main__ import main  # noqa: E402

main()
