"""Writes the DTMF tone of a key as A-law, as sent by a phone without telephone-events.

    tone.py KEY FILE

Two sines of ITU-T Q.23 at 8 kHz: 200 ms of tone between two half seconds of silence.
"""

import pathlib
import sys

import numpy as np

from recognise import RATE, decode_a_law

ROWS = {697: "123A", 770: "456B", 852: "789C", 941: "*0#D"}
COLUMNS = [1209, 1336, 1477, 1633]


def samples(key: str) -> np.ndarray:
    """The key's tone, from -1 to 1."""
    low, keys = next((row, keys) for row, keys in ROWS.items() if key in keys)
    high = COLUMNS[keys.index(key)]
    at = np.arange(RATE // 5) / RATE
    tone = 0.25 * np.sin(2 * np.pi * low * at) + 0.25 * np.sin(2 * np.pi * high * at)
    silence = np.zeros(RATE // 2)
    return np.concatenate([silence, tone, silence])


def a_law(plain: np.ndarray) -> bytes:
    """Encodes each sample as the code with the nearest value."""
    values = decode_a_law(bytes(range(256)))
    order = np.argsort(values)
    between = (values[order][1:] + values[order][:-1]) / 2
    return bytes(order[np.searchsorted(between, plain)].astype(np.uint8))


if __name__ == "__main__":
    pathlib.Path(sys.argv[2]).write_bytes(a_law(samples(sys.argv[1])))
