//! G.711 (ITU-T G.711): A-law and µ-law, and which payload type each has in RTP (RFC 3551 §6).

/// One of the two laws.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Codec {
    /// A-law, payload type 8.
    Pcma,
    /// µ-law, payload type 0.
    Pcmu,
}

impl Codec {
    pub const ALL: [Codec; 2] = [Codec::Pcma, Codec::Pcmu];

    /// The static RTP payload type.
    pub fn payload_type(self) -> u8 {
        match self {
            Codec::Pcma => 8,
            Codec::Pcmu => 0,
        }
    }

    /// The encoding name, as SDP writes it.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Pcma => "PCMA",
            Codec::Pcmu => "PCMU",
        }
    }

    /// The codec of this encoding name, `PCMA` or `PCMU`.
    pub fn from_name(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// The codec of this static payload type.
    pub fn from_payload_type(number: u8) -> Option<Codec> {
        Codec::ALL
            .into_iter()
            .find(|codec| codec.payload_type() == number)
    }

    /// The byte of a sample of zero.
    pub fn silence(self) -> u8 {
        self.encode(0)
    }

    /// One byte as a 16-bit sample.
    pub fn decode(self, byte: u8) -> i16 {
        match self {
            Codec::Pcma => decode_a_law(byte),
            Codec::Pcmu => decode_mu_law(byte),
        }
    }

    /// One 16-bit sample as a byte.
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Codec::Pcma => encode_a_law(sample),
            Codec::Pcmu => encode_mu_law(sample),
        }
    }
}

/// A-law transmits with every other bit inverted.
const A_LAW_TOGGLE: u8 = 0x55;
/// µ-law's bias, which makes each segment twice as wide as the one before.
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
    (if byte & 0x80 != 0 {
        magnitude
    } else {
        -magnitude
    }) as i16
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
    (if byte & 0x80 != 0 {
        -magnitude
    } else {
        magnitude
    }) as i16
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
    fn every_byte_survives_decoding_and_encoding() {
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
    fn known_values_are_as_the_standard_has_them() {
        assert_eq!(Codec::Pcma.silence(), 0xd5);
        assert_eq!(Codec::Pcmu.silence(), 0xff);
        assert_eq!(Codec::Pcma.decode(0xaa), 32_256);
        assert_eq!(Codec::Pcma.decode(0x2a), -32_256);
        assert_eq!(Codec::Pcmu.decode(0x80), 32_124);
        assert_eq!(Codec::Pcmu.decode(0x00), -32_124);
    }

    #[test]
    fn a_sample_loses_no_more_than_its_segments_step() {
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
    fn a_codec_is_found_by_its_name_and_number() {
        for codec in Codec::ALL {
            assert_eq!(Codec::from_name(codec.name()), Some(codec));
            assert_eq!(Codec::from_payload_type(codec.payload_type()), Some(codec));
        }
        assert_eq!(Codec::from_name("G729"), None);
    }
}
