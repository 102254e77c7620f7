//! RTP packets (RFC 3550 §5.1).

/// The length of a header without CSRC and extension.
pub const HEADER_BYTES: usize = 12;

/// The fixed header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Set on the first packet of a talkspurt.
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
}

impl Header {
    /// Returns the encoded header: version 2, without padding, extension or CSRC.
    pub fn bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = 0x80;
        bytes[1] = u8::from(self.marker) << 7 | (self.payload_type & 0x7f);
        bytes[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        bytes
    }
}

/// Parses the fixed header alone, which is readable in a protected packet too. `None` if it is not
/// RTP: RTCP on the same port is recognised by its packet types (RFC 5761 §4).
pub fn parse_header(datagram: &[u8]) -> Option<Header> {
    let fixed = datagram.first_chunk::<HEADER_BYTES>()?;
    let is_rtcp = (192..=223).contains(&fixed[1]);
    if fixed[0] >> 6 != 2 || is_rtcp {
        return None;
    }
    Some(Header {
        marker: fixed[1] & 0x80 != 0,
        payload_type: fixed[1] & 0x7f,
        sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
        timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
    })
}

/// Parses a packet into its header and its payload without padding. `None` if it is not RTP.
pub fn parse(datagram: &[u8]) -> Option<(Header, &[u8])> {
    let header = parse_header(datagram)?;
    let (fixed, rest) = datagram.split_first_chunk::<HEADER_BYTES>()?;
    let mut payload = rest.get(usize::from(fixed[0] & 0x0f) * 4..)?;
    if fixed[0] & 0x10 != 0 {
        let (extension, after) = payload.split_first_chunk::<4>()?;
        let words = u16::from_be_bytes([extension[2], extension[3]]);
        payload = after.get(usize::from(words) * 4..)?;
    }
    if fixed[0] & 0x20 != 0 {
        let padding = usize::from(*payload.last()?);
        let kept = payload.len().checked_sub(padding).filter(|_| padding > 0)?;
        payload = &payload[..kept];
    }
    Some((header, payload))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_encoded_packet_is_parsed_back(
            marker: bool, payload_type in 0u8..64, sequence: u16, timestamp: u32, ssrc: u32,
            payload in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let header = Header { marker, payload_type, sequence, timestamp, ssrc };
            let mut bytes = header.bytes().to_vec();
            bytes.extend(&payload);
            prop_assert_eq!(parse(&bytes), Some((header, &payload[..])));
        }

        #[test]
        fn no_input_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&bytes);
        }
    }

    #[test]
    fn csrc_extension_and_padding_are_skipped() {
        let mut bytes = vec![0x80 | 0x20 | 0x10 | 2, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        bytes.extend([0; 8]);
        bytes.extend([0xbe, 0xde, 0, 1, 9, 9, 9, 9]);
        bytes.extend([1, 2, 3, 0, 0, 3]);
        let (header, payload) = parse(&bytes).unwrap();
        assert_eq!((header.sequence, payload), (1, &[1, 2, 3][..]));
    }

    #[test]
    fn rtcp_on_the_rtp_port_is_not_rtp() {
        for packet_type in [192, 200, 201, 203, 207, 223] {
            let report = [0x80, packet_type, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
            assert_eq!(parse(&report), None, "{packet_type}");
        }
        let event = [0x80, 0x80 | 101, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        assert!(parse(&event).is_some());
    }

    #[test]
    fn the_header_of_a_protected_packet_is_read_whatever_its_padding_bytes_are() {
        let mut bytes = vec![0x80 | 0x20, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        bytes.extend([200; 20]);
        assert_eq!(parse(&bytes), None);
        assert_eq!(parse_header(&bytes).map(|header| header.ssrc), Some(3));
    }

    #[test]
    fn padding_or_extension_past_the_end_is_rejected() {
        let fixed = |first: u8| vec![first, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        for (first, rest) in
            [(0xa0, &[5][..]), (0xa0, &[0]), (0xa0, &[]), (0x90, &[0, 0, 0, 9]), (0x8f, &[1])]
        {
            let mut bytes = fixed(first);
            bytes.extend(rest);
            assert_eq!(parse(&bytes), None, "{first:#x} {rest:?}");
        }
        assert_eq!(parse(&fixed(0x40)), None);
        assert_eq!(parse(&fixed(0x80)[..11]), None);
    }
}
