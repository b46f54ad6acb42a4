"""From a received message to a picture."""

import logging

# When imported, bitsandbytes looks for an optional kernel on a model hub and warns where there is none.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
