//! `[[carriers]]` and `[[carriers.gateways]]`: the SIP trunks.

use std::fmt;
use std::time::Duration;

use nexo_actors::trunk::gateway::{CallerStyle, NumberFormat};
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_voice::audio::g711::Codec;
use nexo_voice::net::streams::tls::TlsFiles;
use nexo_voice::sip::message::gateway_uri::GatewayUri;
use nexo_voice::sip::user_agent::digest::DigestAlgorithm;
use zeroize::Zeroize;

use crate::config::read::error::ConfigError;
use crate::config::read::section::{Reader, mask_all};

/// `[[carriers]]`: the trunk to one carrier of the numbering plan.
#[derive(Debug, Clone)]
pub struct CarrierConfig {
    /// The carrier's name in the numbering plan.
    pub name: String,
    /// The number of concurrent calls; one more is rejected with 503.
    pub channels: u32,
    /// The number of new calls per second. 0: no limit.
    pub calls_per_second: u32,
    /// The calling numbers, used in turn. Empty: anonymous, which many carriers reject.
    pub caller_ids: Vec<String>,
    /// The carrier's gateways. Empty: it has no route, unless no carrier has a gateway and the sandbox takes all calls.
    pub gateways: Vec<GatewayConfig>,
}

/// `[[carriers.gateways]]`: one signalling endpoint of the trunk.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Its name in logs, metrics and commands.
    pub name: String,
    /// Its address and SIP transport.
    pub uri: GatewayUri,
    /// For digest authentication. Empty: the carrier identifies the trunk by its IP address.
    pub username: String,
    pub password: GatewayPassword,
    /// The only realm whose challenges are answered. Empty: any realm.
    pub realm: String,
    /// The weakest algorithm with which we authenticate.
    pub digest: DigestAlgorithm,
    /// Whether to register with the gateway.
    pub register: bool,
    /// The requested registration lifetime; the gateway may demand a longer one.
    pub register_expires_seconds: u32,
    /// How the caller is identified in requests.
    pub caller: CallerStyle,
    /// The time without a response after which the next gateway is tried. None: `calls.gateway_timeout_ms`.
    pub timeout: Option<Duration>,
    /// Gateways with lower values are tried first.
    pub priority: u16,
    /// Its share of the calls among gateways of the same priority.
    pub weight: u16,
    /// The number format that the gateway expects. With a wrong one, it rejects every number.
    pub number_format: NumberFormat,
    /// The offered codecs, in order of preference.
    pub codecs: Vec<Codec>,
    /// Whether the audio is encrypted.
    pub srtp: bool,
    /// The expected name in its certificate. Empty: the URI's host.
    pub tls_name: String,
    /// PEM files: the certificate authorities instead of the system's, and the client certificate with its key.
    pub tls: TlsFiles,
    /// The interval of OPTIONS probes. 0: none; then only failed calls show that the gateway is down.
    pub options_ping_seconds: u32,
}

impl GatewayConfig {
    /// Whether both are the same far end with the same address, probes, registration and credentials. Priority,
    /// weight and other call settings may differ.
    pub fn is_same_peer(&self, other: &GatewayConfig) -> bool {
        fn connection(gateway: &GatewayConfig) -> impl PartialEq {
            (
                (&gateway.name, &gateway.uri, gateway.options_ping_seconds),
                (&gateway.username, &gateway.password, &gateway.realm),
                (gateway.digest, gateway.register),
                gateway.register_expires_seconds,
                (&gateway.tls.authority, &gateway.tls.certificate),
                (&gateway.tls.key, &gateway.tls_name),
            )
        }
        connection(self) == connection(other)
    }
}

/// A gateway's password. `Debug` hides it; its memory is zeroed on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct GatewayPassword(String);

impl GatewayPassword {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the password, to answer challenges.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl Drop for GatewayPassword {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for GatewayPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatewayPassword(hidden)")
    }
}

/// Reads all carriers and rejects duplicates.
pub(in crate::config) fn read(reader: &mut Reader) -> Result<Vec<CarrierConfig>, ConfigError> {
    let mut carriers: Vec<CarrierConfig> = Vec::new();
    for path in reader.tables("carriers")? {
        let carrier = CarrierConfig::read(reader, &path)?;
        if carriers.iter().any(|earlier| earlier.name == carrier.name) {
            let key = format!("{path}.name");
            return Err(reader.invalid(&key, "only one [[carriers]] table for each carrier"));
        }
        carriers.push(carrier);
    }
    Ok(carriers)
}

impl CarrierConfig {
    fn read(reader: &mut Reader, path: &str) -> Result<Self, ConfigError> {
        let names: Vec<&str> = Carrier::all().map(Carrier::name).collect();
        let mut table = reader.table(path);
        let mut carrier = Self {
            name: table.required(
                "name",
                &format!("a carrier of the numbering plan: {}", names.join(", ")),
                |text| Carrier::named(text).map(|carrier| carrier.name().to_owned()),
            )?,
            channels: table.integer("channels", 500, 1..=100_000)?,
            calls_per_second: table.integer("calls_per_second", 50, 0..=100_000)?,
            caller_ids: table.list(
                "caller_ids",
                &[],
                r#"a list of numbers as + and 8 to 15 digits, such as ["+842471234567"]"#,
                parse_caller_id,
            )?,
            gateways: Vec::new(),
        };
        for path in reader.tables(&format!("{path}.gateways"))? {
            let gateway = GatewayConfig::read(reader, &path)?;
            if gateway.username.is_empty() && gateway.register {
                let key = format!("{path}.register");
                return Err(reader.invalid(&key, "false, or a username"));
            }
            if gateway.username.is_empty() && !gateway.password.is_empty() {
                let key = format!("{path}.password");
                return Err(reader.invalid(&key, "empty, or a username"));
            }
            if carrier.gateways.iter().any(|g| g.name == gateway.name) {
                let key = format!("{path}.name");
                return Err(reader.invalid(&key, "a unique name among the carrier's gateways"));
            }
            carrier.gateways.push(gateway);
        }
        Ok(carrier)
    }
}

impl GatewayConfig {
    fn read(reader: &mut Reader, path: &str) -> Result<Self, ConfigError> {
        let mut table = reader.table(path);
        Ok(Self {
            name: table.required(
                "name",
                "1 to 32 letters, digits, hyphens and underscores",
                parse_name,
            )?,
            uri: table.required(
                "uri",
                "sip:HOST[:PORT][;transport=udp|tcp|tls], such as sip:203.0.113.10:5060;transport=udp",
                |text| text.parse().ok(),
            )?,
            username: table.string("username", "a string")?,
            password: table.masked(
                "password",
                "",
                "a string",
                |text| Some(GatewayPassword(text.to_owned())),
                mask_all,
            )?,
            realm: table.string("realm", "a string")?,
            digest: table.choice(
                "digest",
                DigestAlgorithm::Md5.name(),
                &[
                    DigestAlgorithm::Md5,
                    DigestAlgorithm::Sha256,
                    DigestAlgorithm::Sha512_256,
                ]
                .map(|algorithm| (algorithm.name(), algorithm)),
            )?,
            register: table.flag("register", false)?,
            register_expires_seconds: table.integer(
                "register_expires_seconds",
                300,
                60..=86_400,
            )?,
            caller: CallerStyle {
                from_user: table.parsed("from_user", "", FROM_USER, parse_from_user)?,
                from_domain: table.parsed("from_domain", "", FROM_DOMAIN, parse_domain)?,
                asserts_identity: table.flag("asserted_identity", false)?,
                is_private: table.flag("privacy", false)?,
            },
            timeout: match table.integer::<u64>("timeout_ms", 0, 0..=32_000)? {
                0 => None,
                timeout_ms => Some(Duration::from_millis(timeout_ms)),
            },
            priority: table.integer("priority", 1, 0..=65_535)?,
            weight: table.integer("weight", 10, 0..=65_535)?,
            number_format: table.choice(
                "number_format",
                "e164",
                &[
                    ("e164", NumberFormat::E164),
                    ("international", NumberFormat::International),
                    ("national", NumberFormat::National),
                ],
            )?,
            codecs: read_codecs(reader, path)?,
            srtp: reader.table(path).flag("srtp", false)?,
            tls_name: reader
                .table(path)
                .parsed("tls_name", "", FROM_DOMAIN, parse_domain)?
                .unwrap_or_default(),
            tls: read_tls(reader, path)?,
            options_ping_seconds: reader
                .table(path)
                .integer("options_ping_seconds", 30, 0..=3_600)?,
        })
    }
}

fn read_tls(reader: &mut Reader, path: &str) -> Result<TlsFiles, ConfigError> {
    let mut table = reader.table(path);
    let file = |text: &str| Some((!text.is_empty()).then(|| text.into()));
    let expected = "empty, or the path of a PEM file";
    Ok(TlsFiles {
        authority: table.parsed("tls_ca", "", expected, file)?,
        certificate: table.parsed("tls_certificate", "", expected, file)?,
        key: table.parsed("tls_key", "", expected, file)?,
    })
}

fn read_codecs(reader: &mut Reader, path: &str) -> Result<Vec<Codec>, ConfigError> {
    let expected = r#"a list of one or both of "PCMA" and "PCMU""#;
    let mut table = reader.table(path);
    let codecs = table.list("codecs", &["PCMA", "PCMU"], expected, Codec::from_name)?;
    let has_duplicate =
        codecs.iter().enumerate().any(|(index, codec)| codecs[..index].contains(codec));
    match codecs.is_empty() || has_duplicate {
        true => Err(reader.invalid(&format!("{path}.codecs"), expected)),
        false => Ok(codecs),
    }
}

const FROM_USER: &str = "empty, or 1 to 64 letters, digits and - _ . +";
const FROM_DOMAIN: &str = "empty, or a host name or IP address";

fn parse_from_user(text: &str) -> Option<Option<String>> {
    let is_valid = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    match (text.len(), text.chars().all(is_valid)) {
        (0, _) => Some(None),
        (1..=64, true) => Some(Some(text.to_owned())),
        (_, _) => None,
    }
}

fn parse_domain(text: &str) -> Option<Option<String>> {
    match text.is_empty() {
        true => Some(None),
        false => {
            let uri: GatewayUri = format!("sip:{text}").parse().ok()?;
            (uri.domain() == text).then(|| Some(text.to_owned()))
        }
    }
}

fn parse_name(text: &str) -> Option<String> {
    let is_valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    ((1..=32).contains(&text.len()) && text.chars().all(is_valid)).then(|| text.to_owned())
}

fn parse_caller_id(text: &str) -> Option<String> {
    let digits = text.strip_prefix('+')?;
    let is_valid = (8..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    is_valid.then(|| text.to_owned())
}
