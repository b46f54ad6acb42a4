"""The page's server: this machine only, the standard library only, nothing from any network.

    GET  /  app.js  style.css  controls      the page
    POST /photo    bytes of a picture     ─► id, size, the photo as it will be sent
    POST /show     {photo, settings}      ─► what `semcom.demo.answer` has
    POST /sweep    {photo, settings}      ─► one JSON line a point, as it is finished

A request from another site or for another host name is refused, so that no page elsewhere can use this one.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import threading
import traceback
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semcom.demo.photos import MAX_BYTES, as_png, photo_of
from semcom.demo.settings import Settings, controls
from semcom.errors import one_line

if TYPE_CHECKING:
    from torch import Tensor

    from semcom.demo.studio import Studio

HOST = "127.0.0.1"
_STATIC = Path(__file__).parent / "static"
_PAGES = {
    "/": ("index.html", "text/html"),
    "/app.js": ("app.js", "text/javascript"),
    "/plots.js": ("plots.js", "text/javascript"),
    "/style.css": ("style.css", "text/css"),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MOST_JSON = 64 * 1024
_PHOTOS_KEPT = 8
_SECONDS_TO_WAIT = 60.0
_PATH = re.compile(r"(?<![\w.)])/[\w.\-~]+(/[\w.\-~]+)+/?")


class Refusal(Exception):  # noqa: N818  # an answer, not a fault
    """An HTTP status and a sentence."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class DemoServer(ThreadingHTTPServer):
    """One page for one user.

    Args:
        studio: that computes.
        port: 0 for any that is free.

    Raises:
        OSError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, studio: Studio, port: int) -> None:
        super().__init__((HOST, port), _Handler)
        self.studio = studio
        self._photos: OrderedDict[str, Tensor] = OrderedDict()
        self._busy = threading.Lock()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def keep(self, photo: Tensor) -> str:
        """The name under which a photo is known from now on; the oldest of several is forgotten."""
        name = sha256(as_png(photo)).hexdigest()[:16]
        self._photos[name] = photo
        self._photos.move_to_end(name)
        if len(self._photos) > _PHOTOS_KEPT:
            self._photos.popitem(last=False)
        return name

    def photo(self, name: object) -> Tensor:
        """One that was kept. Raises `Refusal`."""
        photo = self._photos.get(name) if isinstance(name, str) else None
        if photo is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "this photo is no longer here: choose it again")
        return photo

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One computation at a time. Raises `Refusal` where another takes too long."""
        if not self._busy.acquire(timeout=_SECONDS_TO_WAIT):
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "still computing something else: try again")
        try:
            yield
        finally:
            self._busy.release()


class _Handler(BaseHTTPRequestHandler):
    server: DemoServer
    timeout = 30  # seconds without a byte
    server_version, sys_version = "semcom", ""

    def do_GET(self) -> None:
        """The page's files."""
        with self._answered():
            self._check_origin()
            path = self.path.partition("?")[0]
            if path == "/controls":
                return self._json(controls())
            if path == "/sample":
                return self._json(self._kept(_sample()))
            if path not in _PAGES:
                raise Refusal(HTTPStatus.NOT_FOUND, "there is nothing here")
            name, kind = _PAGES[path]
            return self._send(HTTPStatus.OK, kind, (_STATIC / name).read_bytes())

    def do_POST(self) -> None:
        """What computes."""
        with self._answered():
            self._check_origin()
            if self.path == "/photo":
                return self._json(self._kept(photo_of(self._body(MAX_BYTES))))
            if self.path not in ("/show", "/sweep"):
                raise Refusal(HTTPStatus.NOT_FOUND, "there is nothing here")
            name, photo, settings = self._wish()
            with self.server.alone():
                if self.path == "/show":
                    return self._show(name, photo, settings)
                return self._sweep(name, photo, settings)

    def _show(self, name: str, photo: Tensor, settings: Settings) -> None:
        from semcom.demo.answer import answer

        self._json(answer(photo, self.server.studio.show(photo, name, settings), settings))

    def _sweep(self, name: str, photo: Tensor, settings: Settings) -> None:
        from semcom.demo import curve
        from semcom.demo.settings import scenario

        height, width = photo.shape[1:]
        sent = self.server.studio.show(photo, name, settings).semantic
        uses = sent.received.report.channel_uses
        fields = scenario(settings, sent.adapted, uses, width, height)
        mask = settings.mask(width, height)
        self._head(HTTPStatus.OK, "application/x-ndjson")
        try:
            for row in curve.points(fields, as_png(photo), None if mask is None else _mask_png(mask)):
                self._line(row)
        except ValueError as error:  # the head is out: the sentence follows as a line
            self._line({"error": public(error)})

    def _line(self, row: dict[str, Any]) -> None:
        self.wfile.write(json.dumps(row).encode() + b"\n")
        self.wfile.flush()

    def _kept(self, photo: Tensor) -> dict[str, Any]:
        name = self.server.keep(photo)
        url = "data:image/png;base64," + base64.b64encode(as_png(photo)).decode()
        return {"photo": name, "width": photo.shape[2], "height": photo.shape[1], "url": url}

    def _wish(self) -> tuple[str, Tensor, Settings]:
        wish = json.loads(self._body(_MOST_JSON))
        if not isinstance(wish, dict):
            raise ValueError("not what the page sends")
        return (
            str(wish.get("photo")),
            self.server.photo(wish.get("photo")),
            Settings.model_validate(wish.get("settings", {})),
        )

    def _body(self, most: int) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "the size must be said beforehand")
        if int(length) > most:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"larger than the {most >> 20 or 1} MiB that are read: choose a smaller file",
            )
        return self.rfile.read(int(length))

    def _check_origin(self) -> None:
        """Raises `Refusal` for a page of another site, and for a name that leads here by another's DNS."""
        port = self.server.server_address[1]
        hosts = {f"{HOST}:{port}", f"localhost:{port}"}
        origin = self.headers.get("Origin")
        if self.headers.get("Host") not in hosts or (
            origin is not None and origin.removeprefix("http://") not in hosts
        ):
            raise Refusal(HTTPStatus.FORBIDDEN, "this page answers to this machine only")

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Every error is a sentence that shows nothing of this machine; faults are told in the terminal."""
        try:
            yield
        except Refusal as refusal:
            self.close_connection = True  # what was not read is not a request
            self._json({"error": str(refusal)}, refusal.status)
        except ConnectionError:
            return
        except (ValueError, RecursionError) as error:
            self._json({"error": public(error)}, HTTPStatus.BAD_REQUEST)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            sentence = "something went wrong here; the terminal says what"
            self._json({"error": sentence}, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _json(self, data: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(status, "application/json", json.dumps(data).encode())

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self._head(status, kind, len(content))
        self.wfile.write(content)

    def _head(self, status: HTTPStatus, kind: str, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in (
            ("Content-Security-Policy", _POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing of what worked."""


def public(error: BaseException) -> str:
    """The sentence of an error, paths of this machine left out."""
    return _PATH.sub("…", one_line(error))


def _sample() -> Tensor:
    from semcom.picture import images

    return photo_of_file(images.load(Path(__file__).parent.parent / "samples" / "coffee.png"))


def photo_of_file(photo: Tensor) -> Tensor:
    """A photo as an upload of it would be."""
    return photo_of(as_png(photo))


def _mask_png(mask: Any) -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(mask.pixels()).convert("L").save(buffer, "PNG")
    return buffer.getvalue()
