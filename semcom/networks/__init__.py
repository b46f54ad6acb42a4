"""Networks: `nn.Module`s only, no wire."""

import logging

# bitsandbytes, which diffusers imports, looks for an optional kernel on a model hub and warns where there is
# none.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
