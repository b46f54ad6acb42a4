"""Named rates: what `semcom send --rate` takes, in bits on the wire per pixel, every stream counted."""

RATES = {"low": 0.018, "mid": 0.030, "high": 0.048}
