"""A link of one's own: packets are lost independently, a tenth as many with every 10 dB; a byte is 8 uses."""

import random

from channels.links.report import BurstReport
from semcom.message import LinkReport, ReceivedMessage
from semcom.packets import pack, unpack


class Erasures:
    """The share of packets lost is `loss` at 0 dB."""

    def __init__(self, loss=0.5):
        self.loss = loss

    def send(self, messages, snr_db, seeds):
        """One message a seed."""
        snrs_db = snr_db if isinstance(snr_db, list) else [snr_db] * len(messages)
        return [self._send(*one) for one in zip(messages, snrs_db, seeds, strict=True)]

    def channel_uses(self, sizes):
        """Of packets (class, bytes)."""
        return sum(8 * size for _, size in sizes)

    def _send(self, message, snr_db, seed):
        chance, packets = random.Random(seed), pack(message)
        arrived = [None if chance.random() < self.loss / 10 ** (snr_db / 10) else p.data for p in packets]
        uses, lost = sum(8 * len(p.data) for p in packets), arrived.count(None)
        of_all = BurstReport(packets=len(packets), lost=lost, channel_uses=uses, effective_sinr_db=None)
        report = LinkReport(snr_db, uses, {"all": of_all})
        return ReceivedMessage(unpack(message, arrived), message.width, message.height, report)
