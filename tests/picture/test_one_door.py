"""Pictures in files come in by one door: `semcom.picture.images`."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# In memory, with the formats named: payloads of codecs, and the size of an upload before it is read.
PAYLOADS = {"semcom/streams/coding/av1.py", "semcom/baselines/codec.py", "semcom/demo/photos.py"}


def opens(path):
    """Places of a file that call `Image.open`."""
    tree = ast.parse(path.read_text())
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "open"
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "Image"
    ]


def test_no_other_module_opens_pictures():
    sources = [path for folder in ("semcom", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    found = {str(path.relative_to(ROOT)) for path in sources if opens(path)}
    assert found == {"semcom/picture/images.py"} | PAYLOADS
