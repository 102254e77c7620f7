"""Reads the digits out of a recorded call. Shares no code with the engine's own recogniser.

    recognise.py RECORDING.wav [--language vi|en] [--prompts DIR]

Matches each prompt's audio against the recording by normalised cross-correlation and keeps the best
matches that do not overlap. Phrases are matched too, so that no part of them counts as a digit.
Prints {"readings": ["4829", ...]}: a phrase or a long silence ends a reading.
Exits with 1 if no digit is found.
"""

import argparse
import json
import pathlib
import sys
import wave

import numpy as np

RATE = 8000
# A prompt in a clean recording scores above 0.9; other prompts stay below 0.35.
MIN_SCORE = 0.6
MAX_PAUSE_S = 2.6
PHRASES = ["press-key", "greeting", "again", "goodbye"]


def decode_a_law(data: bytes) -> np.ndarray:
    """Decodes ITU-T G.711 A-law to samples from -1 to 1."""
    code = np.frombuffer(data, dtype=np.uint8) ^ 0x55
    exponent = (code >> 4) & 7
    mantissa = (code & 0x0F).astype(np.int32) * 2 + 1
    magnitude = np.where(exponent == 0, mantissa, (mantissa + 32) << np.maximum(exponent.astype(np.int32) - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude) / 4096.0


def read_wav(path: str) -> np.ndarray:
    """One channel at 8 kHz, from -1 to 1."""
    with wave.open(path) as file:
        if file.getsampwidth() != 2:
            raise SystemExit(f"{path}: only 16-bit recordings are read")
        frames = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        channels, rate = file.getnchannels(), file.getframerate()
    samples = frames.reshape(-1, channels).mean(axis=1) / 32768.0
    if rate != RATE:
        at = np.arange(0, len(samples), rate / RATE)
        samples = np.interp(at, np.arange(len(samples)), samples)
    return samples


class Recording:
    """A recording, with what its comparison with each template needs."""

    def __init__(self, samples: np.ndarray, longest_template: int):
        self.length = len(samples)
        self.size = 1 << int(np.ceil(np.log2(len(samples) + longest_template)))
        self.spectrum = np.fft.rfft(samples, self.size)
        self.energy = np.concatenate(([0.0], np.cumsum(samples**2)))

    def scores(self, template: np.ndarray) -> np.ndarray:
        """The normalised cross-correlation at each offset where the whole template fits."""
        length = len(template)
        if self.length < length:
            return np.zeros(0)
        template = template - template.mean()
        spectrum = self.spectrum * np.conj(np.fft.rfft(template, self.size))
        product = np.fft.irfft(spectrum, self.size)[: self.length - length + 1]
        local = np.maximum(self.energy[length:] - self.energy[:-length], 1e-9)
        # Near silence matches nothing.
        floor = 1e-6 * length
        return np.where(local > floor, product / np.sqrt(local * (template**2).sum()), 0.0)


def prompts(folder: pathlib.Path):
    names = PHRASES + [f"{speed}{digit}" for digit in range(10) for speed in ("", "slow-")]
    for name in names:
        audio = decode_a_law((folder / f"{name}.al").read_bytes())
        yield name, audio


def matches(recording: np.ndarray, folder: pathlib.Path):
    """The recognised prompts as (start, end, name), in order."""
    found = []
    # With padding, a phrase cut off by the end of the call still matches and does not count as digits.
    recording = np.concatenate((recording, np.zeros(RATE * 3)))
    templates = list(prompts(folder))
    recording = Recording(recording, max(len(template) for _, template in templates))
    for name, template in templates:
        score = recording.scores(template)
        while len(score):
            best = int(score.argmax())
            if score[best] < MIN_SCORE:
                break
            found.append((float(score[best]), best, best + len(template), name))
            score[max(0, best - len(template) // 2) : best + len(template) // 2] = 0.0
    recognised = []
    for score, start, end, name in sorted(found, reverse=True):
        # A jitter buffer may shift neighbours so that they overlap slightly.
        slack = min(end - start, 160)
        if all(end - slack <= s or start + slack >= e for s, e, _ in recognised):
            recognised.append((start, end, name))
    return sorted(recognised)


def readings(recognised) -> list[str]:
    result, digits, last_end = [], "", None
    for start, end, name in recognised:
        is_late = last_end is not None and start - last_end > MAX_PAUSE_S * RATE
        if (name in PHRASES or is_late) and digits:
            result.append(digits)
            digits = ""
        if name not in PHRASES:
            digits += name[-1]
        last_end = end
    return result + [digits] if digits else result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording")
    parser.add_argument("--language", choices=["vi", "en"], default="vi")
    default = pathlib.Path(__file__).parents[3] / "voice" / "assets"
    parser.add_argument("--prompts", type=pathlib.Path, default=default)
    arguments = parser.parse_args()
    recognised = matches(read_wav(arguments.recording), arguments.prompts / arguments.language)
    found = readings(recognised)
    print(json.dumps({"readings": found}))
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
