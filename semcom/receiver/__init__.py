"""From a received message to a picture."""

import semcom.networks  # noqa: F401  # before bitsandbytes, to which it is told what not to say
