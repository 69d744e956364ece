"""``python -m nestmate.bench.allocation``, which is what ``scripts/bench`` starts."""

import sys

from nestmate.bench.allocation.run import main

sys.exit(main())
