"""A phone's audio with SRTP by libsrtp (RFC 6188: AES_256_CM_HMAC_SHA1_80). Shares no code with the engine.

    protected_phone.py --port PORT --key KEY --theirs FILE --out RECORDING.wav

Listens on PORT for RTP and on the next port for RTCP, prints "ready", and presses 5 (RFC 4733), protected
with KEY, after the prompt for a key. After two seconds without packets it reads the other side's key from
FILE, after the word "key", decrypts all received packets, and writes the recording.
Prints {"rtp": N, "rtcp": N, "refused": N}; refused packets are those that libsrtp does not decrypt.
"""

import argparse
import base64
import ctypes
import ctypes.util
import json
import pathlib
import re
import select
import socket
import struct
import sys
import time
import wave

import numpy as np

from recognise import decode_a_law

PCMA, EVENTS = 8, 101
KEY_5 = 5
# The prompt for a key takes four seconds.
PROMPT_PACKETS = 230
LISTEN_S, QUIET_S = 60, 2
ANY_INBOUND, ANY_OUTBOUND = 2, 3
OK = 0


class CryptoPolicy(ctypes.Structure):
    _fields_ = [
        ("cipher_type", ctypes.c_uint32),
        ("cipher_key_len", ctypes.c_int),
        ("auth_type", ctypes.c_uint32),
        ("auth_key_len", ctypes.c_int),
        ("auth_tag_len", ctypes.c_int),
        ("sec_serv", ctypes.c_int),
    ]


class Policy(ctypes.Structure):
    """srtp_policy_t of libsrtp 2."""

    _fields_ = [
        ("ssrc_type", ctypes.c_int),
        ("ssrc_value", ctypes.c_uint),
        ("rtp", CryptoPolicy),
        ("rtcp", CryptoPolicy),
        ("key", ctypes.c_char_p),
        ("keys", ctypes.c_void_p),
        ("num_master_keys", ctypes.c_ulong),
        ("ekt", ctypes.c_void_p),
        ("window_size", ctypes.c_ulong),
        ("allow_repeat_tx", ctypes.c_int),
        ("enc_xtn_hdr", ctypes.c_void_p),
        ("enc_xtn_hdr_count", ctypes.c_int),
        ("next", ctypes.c_void_p),
    ]


LIBRARY = ctypes.CDLL(ctypes.util.find_library("srtp2") or "libsrtp2.so.1")


class Session:
    """One direction of a call."""

    def __init__(self, key: str, ssrc_type: int):
        self.key = base64.b64decode(key)
        assert len(self.key) == 46, f"{len(self.key)} octets of key and salt, not 46"
        policy = Policy(ssrc_type=ssrc_type, key=self.key, window_size=1024)
        for crypto in (policy.rtp, policy.rtcp):
            LIBRARY.srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(ctypes.byref(crypto))
        self.session = ctypes.c_void_p()
        status = LIBRARY.srtp_create(ctypes.byref(self.session), ctypes.byref(policy))
        assert status == OK, f"srtp_create: {status}"

    def _with(self, function: str, packet: bytes) -> bytes | None:
        buffer = ctypes.create_string_buffer(packet, len(packet) + 64)
        length = ctypes.c_int(len(packet))
        status = getattr(LIBRARY, function)(self.session, buffer, ctypes.byref(length))
        return buffer.raw[: length.value] if status == OK else None

    def protect(self, packet: bytes) -> bytes:
        sealed = self._with("srtp_protect", packet)
        assert sealed is not None, "srtp_protect"
        return sealed

    def unprotect(self, packet: bytes) -> bytes | None:
        return self._with("srtp_unprotect", packet)

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        return self._with("srtp_unprotect_rtcp", packet)


def key_press() -> list[bytes]:
    """The packets of one key: the start, updates, and the end sent three times (RFC 4733 §2.5.1)."""
    ssrc, timestamp = 0x5EED5EED, 8000
    packets = []
    for n, (ended, held) in enumerate([(0, 160), (0, 480), (0, 800), (1, 1120), (1, 1120), (1, 1120)]):
        marker = 0x80 if n == 0 else 0
        header = struct.pack("!BBHII", 0x80, marker | EVENTS, 7 + n, timestamp, ssrc)
        packets.append(header + struct.pack("!BBH", KEY_5, ended << 7 | 10, held))
    return packets


def listen(rtp: socket.socket, rtcp: socket.socket, own: Session) -> tuple[list[bytes], list[bytes]]:
    """The received RTP and RTCP packets, still encrypted."""
    audio: list[bytes] = []
    reports: list[bytes] = []
    until = time.monotonic() + LISTEN_S
    while time.monotonic() < until:
        ready, _, _ = select.select([rtp, rtcp], [], [], QUIET_S if audio else LISTEN_S)
        if not ready:
            break
        if rtcp in ready:
            reports.append(rtcp.recv(2048))
        if rtp in ready:
            packet, peer = rtp.recvfrom(2048)
            audio.append(packet)
            if len(audio) == PROMPT_PACKETS:
                for press in key_press():
                    rtp.sendto(own.protect(press), peer)
                    time.sleep(0.02)
    return audio, reports


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--theirs", type=pathlib.Path, required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    assert LIBRARY.srtp_init() == OK, "srtp_init"
    sockets = []
    for port in (args.port, args.port + 1):
        sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sockets[-1].bind(("127.0.0.1", port))
    print("ready", flush=True)
    audio, reports = listen(*sockets, Session(args.key, ANY_OUTBOUND))
    theirs = re.search(r"key ([A-Za-z0-9+/=]+)", args.theirs.read_text())
    if theirs is None:
        raise SystemExit(f"{args.theirs} contains no key")
    session = Session(theirs[1], ANY_INBOUND)
    opened = [session.unprotect(packet) for packet in audio]
    rtcp = [session.unprotect_rtcp(packet) for packet in reports]
    payloads = [packet[12:] for packet in opened if packet is not None and packet[1] & 0x7F == PCMA]
    with wave.open(args.out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((decode_a_law(b"".join(payloads)) * 32000).astype("<i2").tobytes())
    refused = opened.count(None) + rtcp.count(None)
    print(json.dumps({"rtp": len(payloads), "rtcp": len(rtcp) - rtcp.count(None), "refused": refused}))


if __name__ == "__main__":
    sys.exit(main())
