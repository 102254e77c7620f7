//! G.711 (ITU-T G.711): A-law and µ-law, and their RTP payload types (RFC 3551 §6).

/// One of the two companding laws.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Codec {
    /// A-law, payload type 8.
    Pcma,
    /// µ-law, payload type 0.
    Pcmu,
}

impl Codec {
    pub const ALL: [Codec; 2] = [Codec::Pcma, Codec::Pcmu];

    /// Returns the static RTP payload type.
    pub fn payload_type(self) -> u8 {
        match self {
            Codec::Pcma => 8,
            Codec::Pcmu => 0,
        }
    }

    /// Returns the encoding name in SDP.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Pcma => "PCMA",
            Codec::Pcmu => "PCMU",
        }
    }

    /// Finds the codec with this encoding name, `PCMA` or `PCMU`.
    pub fn from_name(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Finds the codec with this static payload type.
    pub fn from_payload_type(number: u8) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.payload_type() == number)
    }

    /// Returns the encoding of a zero sample.
    pub fn silence(self) -> u8 {
        self.encode(0)
    }

    /// Decodes one byte to a 16-bit sample.
    pub fn decode(self, byte: u8) -> i16 {
        match self {
            Codec::Pcma => decode_a_law(byte),
            Codec::Pcmu => decode_mu_law(byte),
        }
    }

    /// Encodes one 16-bit sample.
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Codec::Pcma => encode_a_law(sample),
            Codec::Pcmu => encode_mu_law(sample),
        }
    }
}

/// A codec under an RTP payload type: its static one, or one that SDP gives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Format {
    pub codec: Codec,
    /// At most 127.
    pub payload_type: u8,
}

impl Format {
    /// The codec under its static payload type (RFC 3551 §6).
    pub fn of(codec: Codec) -> Format {
        Format { codec, payload_type: codec.payload_type() }
    }
}

/// A-law inverts every other bit for transmission.
const A_LAW_TOGGLE: u8 = 0x55;
/// The bias of µ-law, which makes each segment twice as wide as the previous one.
const MU_LAW_BIAS: i32 = 0x84;
const MU_LAW_CLIP: i32 = 32_635;

fn decode_a_law(byte: u8) -> i16 {
    let byte = byte ^ A_LAW_TOGGLE;
    let segment = i32::from((byte >> 4) & 7);
    let mantissa = i32::from(byte & 15) << 4;
    let magnitude = match segment {
        0 => mantissa + 8,
        _ => (mantissa + 0x108) << (segment - 1),
    };
    (if byte & 0x80 != 0 { magnitude } else { -magnitude }) as i16
}

fn encode_a_law(sample: i16) -> u8 {
    let (sign, magnitude) = match sample {
        0.. => (0x80, i32::from(sample)),
        _ => (0, -i32::from(sample) - 1),
    };
    let segment = match magnitude {
        0..=0xff => 0,
        _ => 24 - magnitude.leading_zeros() as i32,
    };
    let mantissa = match segment {
        0 => magnitude >> 4,
        _ => magnitude >> (segment + 3),
    };
    let byte = (segment << 4) as u8 | (mantissa & 15) as u8 | sign;
    byte ^ A_LAW_TOGGLE
}

fn decode_mu_law(byte: u8) -> i16 {
    let byte = !byte;
    let segment = (byte >> 4) & 7;
    let magnitude = (((i32::from(byte & 15) << 3) + MU_LAW_BIAS) << segment) - MU_LAW_BIAS;
    (if byte & 0x80 != 0 { -magnitude } else { magnitude }) as i16
}

fn encode_mu_law(sample: i16) -> u8 {
    let (sign, magnitude) = match sample {
        0.. => (0, i32::from(sample)),
        _ => (0x80, -i32::from(sample)),
    };
    let biased = magnitude.min(MU_LAW_CLIP) + MU_LAW_BIAS;
    let segment = 24 - biased.leading_zeros() as i32;
    let mantissa = (biased >> (segment + 3)) & 15;
    !(sign | (segment << 4) as u8 | mantissa as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_restored_by_decoding_and_encoding() {
        for codec in Codec::ALL {
            for byte in 0..=255u8 {
                let again = codec.encode(codec.decode(byte));
                // µ-law has two zeros.
                let same = again == byte || (codec == Codec::Pcmu && byte == 0x7f && again == 0xff);
                assert!(same, "{codec:?} {byte:#x} became {again:#x}");
            }
        }
    }

    #[test]
    fn known_values_match_the_standard() {
        assert_eq!(Codec::Pcma.silence(), 0xd5);
        assert_eq!(Codec::Pcmu.silence(), 0xff);
        assert_eq!(Codec::Pcma.decode(0xaa), 32_256);
        assert_eq!(Codec::Pcma.decode(0x2a), -32_256);
        assert_eq!(Codec::Pcmu.decode(0x80), 32_124);
        assert_eq!(Codec::Pcmu.decode(0x00), -32_124);
    }

    #[test]
    fn the_error_of_a_sample_is_at_most_the_step_of_its_segment() {
        for codec in Codec::ALL {
            for sample in (i16::MIN..=i16::MAX).step_by(7) {
                let decoded = i32::from(codec.decode(codec.encode(sample)));
                let error = (decoded - i32::from(sample)).abs();
                let allowed = (i32::from(sample).abs() / 16).max(16);
                assert!(error <= allowed, "{codec:?} {sample} became {decoded}");
            }
        }
    }

    #[test]
    fn a_codec_is_found_by_name_and_payload_type() {
        for codec in Codec::ALL {
            assert_eq!(Codec::from_name(codec.name()), Some(codec));
            assert_eq!(Codec::from_payload_type(codec.payload_type()), Some(codec));
        }
        assert_eq!(Codec::from_name("G729"), None);
    }
}
