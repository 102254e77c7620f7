use super::*;
use crate::rtp::srtp::tests::hex;

/// RFC 3711 §B.3.
const MASTER_128: &str = "e1f97a0d3e018be0d64fa32c06de4139 0ec675ad498afeebb6960b3aabe6";
/// RFC 6188 §7.2.
const MASTER_256: &str = "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6
                          3b04803de51ee7c96423ab5b78d2";

fn derived(suite: Suite, master: &str, label: u8, bytes: usize) -> Vec<u8> {
    let master = MasterKey::from_bytes(suite, &hex(master)).unwrap();
    let mut key = vec![0; bytes];
    Cipher::new(suite, master.key()).derive(master.salt(), label, &mut key);
    key
}

/// Checks the keystream of session salt f0…fd, SSRC 0 and index 0 at the blocks given in the RFCs.
fn check_keystream(suite: Suite, key: &str, blocks: [(usize, &str); 6]) {
    let mut padded = [0; MAX_KEY_BYTES];
    padded[..suite.key_bytes()].copy_from_slice(&hex(key));
    let salt = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd").try_into().unwrap();
    let keys = SessionKeys::new(suite, &padded, &[0; AUTH_KEY_BYTES], &salt);
    let mut stream = vec![0; 0xff02 * 16];
    keys.apply_keystream(0, 0, &mut stream);
    for (block, expected) in blocks {
        let at = block * 16;
        assert_eq!(stream[at..at + 16], hex(expected), "block {block:#x}");
    }
}

#[test]
fn the_keystream_of_aes_128_is_that_of_rfc_3711_b_2() {
    check_keystream(
        Suite::AesCm128HmacSha1_80,
        "2b7e151628aed2a6abf7158809cf4f3c",
        [
            (0, "e03ead0935c95e80e166b16dd92b4eb4"),
            (1, "d23513162b02d0f72a43a2fe4a5f97ab"),
            (2, "41e95b3bb0a2e8dd477901e4fca894c0"),
            (0xfeff, "ec8cdf7398607cb0f2d21675ea9ea1e4"),
            (0xff00, "362b7c3c6773516318a077d7fc5073ae"),
            (0xff01, "6a2cc3787889374fbeb4c81b17ba6c44"),
        ],
    );
}

#[test]
fn the_keystream_of_aes_256_is_that_of_rfc_6188_7_1() {
    check_keystream(
        Suite::AesCm256HmacSha1_80,
        "57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98",
        [
            (0, "92bdd28a93c3f52511c677d08b5515a4"),
            (1, "9da71b2378a854f67050756ded165bac"),
            (2, "63c4868b7096d88421b563b8c94c9a31"),
            (0xfeff, "cea518c90fd91ced9cbb18c078a54711"),
            (0xff00, "3dbc4814f4da5f00a08772b63c6a046d"),
            (0xff01, "6eb246913062a16891433e97dd01a57f"),
        ],
    );
}

#[test]
fn the_session_keys_of_aes_128_are_those_of_rfc_3711_b_3() {
    let suite = Suite::AesCm128HmacSha1_80;
    for (label, key) in [
        (0, "c61e7a93744f39ee10734afe3ff7a087"),
        (2, "30cbbc08863d8c85d49db34a9ae1"),
        (
            1,
            "cebe321f6ff7716b6fd4ab49af256a15 6d38baa48f0a0acf3c34e2359e6cdbce
             e049646c43d9327ad175578ef7227098 6371c10c9a369ac2f94a8c5fbcdddc25
             6d6e919a48b610ef17c2041e47403576 6b68642c59bbfc2f34db60dbdfb2",
        ),
    ] {
        let key = hex(key);
        assert_eq!(derived(suite, MASTER_128, label, key.len()), key, "{label}");
    }
}

#[test]
fn the_session_keys_of_aes_256_are_those_of_rfc_6188_7_2() {
    let suite = Suite::AesCm256HmacSha1_80;
    for (label, key) in [
        (0, "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"),
        (2, "fa31791685ca444a9e07c6c64e93"),
        (1, "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"),
    ] {
        let key = hex(key);
        assert_eq!(derived(suite, MASTER_256, label, key.len()), key, "{label}");
    }
}

#[test]
fn each_label_of_each_protocol_gives_another_key() {
    let labels = [Protocol::Rtp.labels(), Protocol::Rtcp.labels()].concat();
    let key = |label| derived(Suite::AesCm128HmacSha1_80, MASTER_128, label, 14);
    for (at, label) in labels.iter().enumerate() {
        for other in &labels[..at] {
            assert_ne!(key(*label), key(*other), "{label} {other}");
        }
    }
}

#[test]
fn any_prefix_of_a_tag_but_an_empty_one_is_accepted() {
    let master = MasterKey::from_bytes(Suite::AesCm128HmacSha1_80, &hex(MASTER_128)).unwrap();
    let keys = SessionKeys::derive(&master, Protocol::Rtp);
    let tag = keys.tag(b"packet", b"roc");
    assert!(keys.verify(b"packet", b"roc", &tag));
    assert!(keys.verify(b"packet", b"roc", &tag[..4]));
    assert!(!keys.verify(b"packet", b"roc", &[]));
    assert!(!keys.verify(b"packet", b"rok", &tag[..4]));
    assert!(!keys.verify(b"pocket", b"roc", &tag[..4]));
}
