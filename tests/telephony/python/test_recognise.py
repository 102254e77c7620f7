"""Tests of the recogniser. Run with: python -m unittest"""

import pathlib
import random
import unittest

import numpy as np
import recognise

ASSETS = pathlib.Path(__file__).parents[3] / "voice" / "assets"
FRAME = 160


def reading(code: str, language: str, slow: bool) -> np.ndarray:
    """The audio of one reading in a call."""
    audio = dict(recognise.prompts(ASSETS / language))
    gap = np.zeros(recognise.RATE * 350 // 1000)
    parts = [np.zeros(2400), audio["again" if slow else "greeting"], gap]
    for digit in code:
        parts += [audio[("slow-" if slow else "") + digit], gap]
    return np.concatenate(parts)


def heard(samples: np.ndarray, language: str) -> list[str]:
    return recognise.readings(recognise.matches(samples, ASSETS / language))


class Recogniser(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(7)
        self.noise = np.random.default_rng(7)

    def codes(self, count):
        for _ in range(count):
            yield "".join(self.random.choices("0123456789", k=self.random.randint(4, 8)))

    def test_codes_are_read_at_both_speeds_and_any_level(self):
        for language in ("vi", "en"):
            for code in self.codes(15):
                both = np.concatenate([reading(code, language, False), reading(code, language, True)])
                level = self.random.uniform(0.3, 3.0)
                self.assertEqual(heard(both * level, language), [code, code], language)

    def test_lost_packets_and_noise_hide_no_digit(self):
        for language in ("vi", "en"):
            for code in self.codes(15):
                samples = reading(code, language, False)
                for start in range(0, len(samples), FRAME):
                    if self.random.random() < 0.05:
                        samples[start : start + FRAME] = 0.0
                samples += self.noise.normal(0, 0.003, len(samples))
                self.assertEqual(heard(samples, language), [code], language)

    def test_silence_noise_and_phrases_hold_no_digit(self):
        for language in ("vi", "en"):
            audio = dict(recognise.prompts(ASSETS / language))
            self.assertEqual(heard(np.zeros(40_000), language), [])
            self.assertEqual(heard(self.noise.normal(0, 0.1, 40_000), language), [])
            for phrase in recognise.PHRASES:
                self.assertEqual(heard(audio[phrase], language), [], phrase)

    def test_another_language_is_not_understood(self):
        wrong = [heard(reading(code, "vi", False), "en") == [code] for code in self.codes(10)]
        self.assertFalse(any(wrong))


if __name__ == "__main__":
    unittest.main()
