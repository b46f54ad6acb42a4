"""Published codecs as systems, without a line about each: an object with two methods, or two command lines.

    systems:
      vtm:
        system: external
        options:
          encode: "EncoderApp -i {input} -q {quality} -b {output}"
          decode: "DecoderApp -b {input} -o {output}"
          qualities: [63, 20]        # from the smallest payload to the largest

`{input}` and `{output}` are files, `{quality}` is what rate control turns, `{width}` and `{height}` are the
picture's. Commands run without a shell, in an empty folder, and only where the user allowed it. An object has
`compress(image) -> bytes` and `decompress(bytes) -> image`, pictures [3,H,W] in [0,1], and may take a second
argument `quality` of `compress`. One payload is one packet: such formats do not decode from a part of it.
"""

from __future__ import annotations

import inspect
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from semcom.baselines.loss import grey_picture, sane
from semcom.contracts import Budget, BudgetError
from semcom.message import Message, Protection, ReceivedMessage, Reconstruction, Stream
from semcom.packets import packet_sizes

_SECONDS = 600.0
_MAX_PAYLOAD = 64 << 20
_FIELDS = ("input", "output", "quality", "width", "height")


class CommandError(ValueError):
    """A command cannot be run, failed, or left no output; names it and what it said."""


class PublishedCodec(Protocol):
    """What a codec in process has. `compress` may take a second argument, `quality`."""

    def compress(self, image: Tensor) -> bytes:
        """Payload of a picture [3,H,W] in [0,1]."""
        ...

    def decompress(self, data: bytes) -> Tensor:
        """The picture."""
        ...


class CommandCodec:
    """A codec by its two command lines.

    Args:
        encode, decode: templates; see the module docstring.
        suffix: of the picture's file, a format that Pillow writes and reads without loss.
        payload_suffix: of the payload's file, for programs that go by it.
        seconds: after which a command is ended.

    Raises:
        CommandError: a template lacks a file or has an unknown field, or there is no such program.
    """

    def __init__(
        self,
        encode: str,
        decode: str,
        suffix: str = ".png",
        payload_suffix: str = ".bin",
        seconds: float = _SECONDS,
    ) -> None:
        self._encode, self._decode = _template("encode", encode), _template("decode", decode)
        self._suffix, self._payload_suffix, self._seconds = suffix, payload_suffix, seconds

    def compress(self, image: Tensor, quality: int = 0) -> bytes:
        """See `PublishedCodec`. Raises `CommandError`."""
        from semcom.picture import images

        with tempfile.TemporaryDirectory() as place:
            source = Path(place) / f"picture{self._suffix}"
            payload = Path(place) / f"payload{self._payload_suffix}"
            images.save(image, source)
            height, width = image.shape[-2:]
            self._run(self._encode, place, source, payload, quality=quality, width=width, height=height)
            return _output(self._encode, payload)

    def decompress(self, data: bytes) -> Tensor:
        """See `PublishedCodec`. Raises `CommandError`."""
        from semcom.picture import images

        with tempfile.TemporaryDirectory() as place:
            payload = Path(place) / f"payload{self._payload_suffix}"
            picture = Path(place) / f"picture{self._suffix}"
            payload.write_bytes(data)
            self._run(self._decode, place, payload, picture)
            _output(self._decode, picture)
            return images.load(picture)

    def _run(self, words: Sequence[str], place: str, source: Path, output: Path, **fields: int) -> None:
        known = {"input": str(source), "output": str(output)} | {n: str(v) for n, v in fields.items()}
        command = [_filled(word, known) for word in words]
        try:
            done = subprocess.run(
                command,
                cwd=place,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CommandError(f"{words[0]}: not done after {self._seconds:g} s") from error
        except OSError as error:
            raise CommandError(f"{words[0]}: {error.strerror}") from error
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).decode(errors="replace").split())[-300:]
            raise CommandError(f"{words[0]} ended with {done.returncode}: {said}")


class PublishedSystem:
    """A published codec behind the contract of every system: one stream `image` of class base.

    Args:
        codec: `PublishedCodec`.
        qualities: from the smallest payload to the largest; a pair is a range. Without them there is one.
    """

    def __init__(self, codec: PublishedCodec, qualities: Sequence[int] = (0,)) -> None:
        self.codec = codec
        self._qualities = _ladder(qualities)
        takes = len(inspect.signature(codec.compress).parameters) > 1
        self._compress: Callable[..., bytes] = codec.compress
        self._takes_quality = takes
        self._made: dict[tuple[str, int], bytes] = {}

    def encode(self, image: Tensor, budget: Budget) -> Message:
        """The finest quality whose payload fits, by bisection: payloads grow with the quality.

        Raises:
            BudgetError: not even the lowest quality fits.
            ValueError: the codec failed.
        """
        low, high = 0, len(self._qualities) - 1
        best = self._message(image, low)
        if not budget.fits(best):
            raise BudgetError(budget.limit, budget.cost(packet_sizes(best)), budget.unit)
        while low < high:
            middle = (low + high + 1) // 2
            tried = self._message(image, middle)
            if budget.fits(tried):
                low, best = middle, tried
            else:
                high = middle - 1
        return best

    def decode(self, received: ReceivedMessage) -> Reconstruction:
        """The picture; a grey one where the payload was lost or the codec refuses it."""
        payload = received.first("image")
        if payload is None:
            return grey_picture(received)
        try:
            return Reconstruction(sane(self.codec.decompress(payload).float().cpu(), received))
        except Exception:  # of a stranger's decoder on damaged bytes
            return grey_picture(received)

    def _message(self, image: Tensor, index: int) -> Message:
        height, width = image.shape[-2:]
        key = sha256(image.contiguous().numpy().tobytes()).hexdigest(), index
        if key not in self._made:
            if len(self._made) > 4 * len(self._qualities):
                self._made.clear()
            more = (self._qualities[index],) if self._takes_quality else ()
            payload = bytes(self._compress(image, *more))
            if len(payload) > _MAX_PAYLOAD:
                raise ValueError(f"the codec made {len(payload)} bytes of one picture")
            self._made[key] = payload
        return Message((Stream("image", Protection.BASE, (self._made[key],)),), width, height)


def external(
    encode: str | None = None,
    decode: str | None = None,
    codec: str | None = None,
    qualities: Sequence[int] = (0,),
    options: dict[str, Any] | None = None,
    suffix: str = ".png",
    payload_suffix: str = ".bin",
    seconds: float = _SECONDS,
) -> PublishedSystem:
    """A published codec as a system. It runs programs: allowed as imports are.

    Args:
        encode, decode: command lines; see the module docstring.
        codec: instead, `module:callable` that makes an object with `compress` and `decompress`.
        qualities: see `PublishedSystem`.
        options: of that callable.
        suffix: of the picture's file.
        payload_suffix: of the payload's.
        seconds: after which a command is ended.

    Raises:
        ValueError: neither two commands nor a codec, or one that cannot be used.
    """
    if (codec is None) == (encode is None or decode is None):
        raise ValueError("external: give encode and decode as command lines, or codec as module:callable")
    if codec is not None:
        from semcom.sweep.imports import callable_at

        return PublishedSystem(callable_at(codec)(**(options or {})), qualities)
    made = CommandCodec(str(encode), str(decode), suffix, payload_suffix, seconds)
    if tuple(qualities) != (0,) and "{quality}" not in str(encode):
        raise ValueError("external: encode has no {quality}, so qualities cannot be chosen from")
    return PublishedSystem(made, qualities)


def _template(name: str, text: str) -> list[str]:
    words = shlex.split(text)
    missing = [field for field in ("{input}", "{output}") if not any(field in word for word in words)]
    if not words or missing:
        raise CommandError(f"external: {name} lacks {' and '.join(missing)}: {text!r}")
    if shutil.which(words[0]) is None:
        raise CommandError(f"external: {name}: there is no program {words[0]!r} here")
    return words


def _filled(word: str, fields: dict[str, str]) -> str:
    for name in _FIELDS:
        word = word.replace("{" + name + "}", fields.get(name, "{" + name + "}"))
    return word


def _output(words: Sequence[str], path: Path) -> bytes:
    if not path.is_file() or not path.stat().st_size:
        raise CommandError(f"{words[0]} left no output")
    return path.read_bytes()


def _ladder(qualities: Sequence[int]) -> list[int]:
    """Every quality: of a pair all between."""
    if not qualities or any(isinstance(q, bool) or not isinstance(q, int) for q in qualities):
        raise ValueError(f"external: qualities must be whole numbers, not {qualities!r}")
    if len(qualities) != 2:
        return list(qualities)
    first, last = qualities
    return list(range(first, last + 1)) if first <= last else list(range(first, last - 1, -1))


SYSTEM = external
