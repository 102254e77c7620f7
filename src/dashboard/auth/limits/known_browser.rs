//! Recognises browsers that signed in to an account before, by a signed cookie.
//!
//! The signature's key is the account's stored password hash, which clients never see and which is the same on every
//! node. So the cookie ends with the password. It also ends with the e-mail address and with the second factor, which
//! are signed too. It proves an earlier sign-in and nothing else: it only selects a limit on attempts.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nexo_entities::store::accounts::Account;
use rand::Rng;
use ring::hmac;

/// A browser is forgotten this long after its last sign-in.
pub const TTL_MS: i64 = 180 * 24 * 3_600_000;
/// The most accounts that one browser is remembered for; the latest ones stay.
const MAX_ACCOUNTS: usize = 4;

const ACCOUNT: usize = 16;
const SIGNED: usize = ACCOUNT + 16 + 8;
const SIGNATURE: usize = 32;

/// A random number that identifies a browser to one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrowserId(pub [u8; 16]);

/// What a cookie says about one account: the account, the browser and the expiry, and their signature.
struct Entry {
    text: String,
    bytes: [u8; SIGNED + SIGNATURE],
}

impl Entry {
    fn parse(text: &str) -> Option<Entry> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Entry { text: text.to_owned(), bytes: bytes.try_into().ok()? })
    }

    fn is_of(&self, account: &Account) -> bool {
        self.bytes.starts_with(account.id.0.as_bytes())
    }

    /// The browser, if the account's key signed the entry and it has not expired.
    fn browser(&self, account: &Account, now_ms: i64) -> Option<BrowserId> {
        let (signed, signature) = self.bytes.split_at(SIGNED);
        let (account_id, rest) = signed.split_first_chunk::<ACCOUNT>()?;
        let (browser, expires_at_ms) = rest.split_first_chunk::<16>()?;
        let is_valid = account_id == account.id.0.as_bytes()
            && i64::from_be_bytes(expires_at_ms.try_into().ok()?) > now_ms
            && hmac::verify(&key(account)?, &message(signed, account), signature).is_ok();
        is_valid.then_some(BrowserId(*browser))
    }
}

fn key(account: &Account) -> Option<hmac::Key> {
    let hash = account.password_hash.as_ref()?;
    let secret = [b"nexo known browser\0", hash.as_bytes()].concat();
    Some(hmac::Key::new(hmac::HMAC_SHA256, &secret))
}

/// The signed text. A cookie from before the second factor was turned on or off must not count for codes, so the
/// sealed secret is part of it. An address contains no NUL, so the parts cannot be confused.
fn message(signed: &[u8], account: &Account) -> Vec<u8> {
    let email = account.email.as_bytes();
    match &account.totp_sealed {
        Some(sealed) => [signed, email, &b"\0"[..], sealed.as_slice()].concat(),
        None => [signed, email].concat(),
    }
}

fn entries(cookie: &str) -> impl Iterator<Item = Entry> {
    cookie.split('.').take(MAX_ACCOUNTS).filter_map(Entry::parse)
}

/// The browser, if this cookie proves that it signed in to the account before.
pub fn recognise(cookie: &str, account: &Account, now_ms: i64) -> Option<BrowserId> {
    entries(cookie).find_map(|entry| entry.browser(account, now_ms))
}

/// The cookie of a browser that has just signed in to the account. It keeps what `cookie` says of other accounts.
/// `None` for an account without a password.
pub fn remember(cookie: &str, account: &Account, now_ms: i64) -> Option<String> {
    let browser = recognise(cookie, account, now_ms).unwrap_or_else(|| {
        let mut random = [0; 16];
        rand::rng().fill_bytes(&mut random);
        BrowserId(random)
    });
    let expires_at_ms = (now_ms + TTL_MS).to_be_bytes();
    let signed = [&account.id.0.as_bytes()[..], &browser.0, &expires_at_ms].concat();
    let signature = hmac::sign(&key(account)?, &message(&signed, account));
    let own = URL_SAFE_NO_PAD.encode([&signed[..], signature.as_ref()].concat());
    let others = entries(cookie).filter(|entry| !entry.is_of(account));
    let others = others.map(|entry| entry.text);
    let all: Vec<String> = [own].into_iter().chain(others).take(MAX_ACCOUNTS).collect();
    Some(all.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexo_domain::ids::AccountId;
    use uuid::Uuid;

    const NOW: i64 = 1_780_000_000_000;

    fn account(email: &str) -> Account {
        Account {
            id: AccountId(Uuid::now_v7()),
            email: email.to_owned(),
            password_hash: Some("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned()),
            operator: false,
            language: None,
            page_language: None,
            time_zone: None,
            created_at_ms: NOW,
            closed_at_ms: None,
            suspended_at_ms: None,
            suspended_for: None,
            referral_code: String::new(),
            totp_sealed: None,
            access_review_since_ms: None,
        }
    }

    #[test]
    fn a_browser_is_recognised_for_its_accounts_only() {
        let (lan, eve) = (account("lan@example.com"), account("eve@example.com"));
        let cookie = remember("", &lan, NOW).unwrap();
        let browser = recognise(&cookie, &lan, NOW).unwrap();
        assert_eq!(recognise(&cookie, &eve, NOW), None);
        let both = remember(&cookie, &eve, NOW).unwrap();
        assert_eq!(recognise(&both, &lan, NOW), Some(browser));
        assert!(recognise(&both, &eve, NOW).is_some_and(|other| other != browser));
        // A new sign-in renews the entry and keeps the browser's number.
        let again = remember(&both, &lan, NOW + TTL_MS - 1).unwrap();
        assert_eq!(again.split('.').count(), 2);
        assert_eq!(recognise(&again, &lan, NOW + TTL_MS), Some(browser));
        assert_eq!(recognise(&cookie, &lan, NOW + TTL_MS), None);
    }

    #[test]
    fn a_forged_or_changed_cookie_is_not_recognised() {
        let lan = account("lan@example.com");
        let eve = Account {
            password_hash: Some("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$b3RoZXI".to_owned()),
            ..lan.clone()
        };
        let forged = remember("", &eve, NOW).unwrap();
        assert_eq!(recognise(&forged, &lan, NOW), None);
        let cookie = remember("", &lan, NOW).unwrap();
        for at in [20, 30, 45, 95] {
            let mut changed = cookie.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(recognise(&changed, &lan, NOW), None, "{at}");
        }
        for text in ["", ".", "x", "....."] {
            assert_eq!(recognise(text, &lan, NOW), None, "{text:?}");
        }
        assert_eq!(remember("", &Account { password_hash: None, ..lan }, NOW), None);
    }

    #[test]
    fn a_new_password_or_address_forgets_all_browsers() {
        let lan = account("lan@example.com");
        let cookie = remember("", &lan, NOW).unwrap();
        let moved = Account { email: "new@example.com".to_owned(), ..lan.clone() };
        assert_eq!(recognise(&cookie, &moved, NOW), None);
        let changed = Account {
            password_hash: Some("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$bmV3".to_owned()),
            ..lan
        };
        assert_eq!(recognise(&cookie, &changed, NOW), None);
    }

    #[test]
    fn a_second_factor_that_is_turned_on_or_off_forgets_all_browsers() {
        let without = account("lan@example.com");
        let with = |sealed: [u8; 3]| {
            let totp_sealed = Some(sealed.to_vec());
            Account { totp_sealed, ..without.clone() }
        };
        let states = [without.clone(), with([1, 2, 3]), with([4, 5, 6])];
        for (n, signed) in states.iter().enumerate() {
            let cookie = remember("", signed, NOW).unwrap();
            for (m, now) in states.iter().enumerate() {
                assert_eq!(recognise(&cookie, now, NOW).is_some(), n == m, "{n} {m}");
            }
        }
    }

    #[test]
    fn a_cookie_holds_the_latest_accounts() {
        let accounts: Vec<Account> = (0..6).map(|n| account(&format!("{n}@b.c"))).collect();
        let cookie = accounts
            .iter()
            .fold(String::new(), |cookie, account| remember(&cookie, account, NOW).unwrap());
        let known = |account: &&Account| recognise(&cookie, account, NOW).is_some();
        assert_eq!(accounts.iter().filter(known).count(), MAX_ACCOUNTS);
        assert!(known(&&accounts[5]) && !known(&&accounts[0]));
    }
}
