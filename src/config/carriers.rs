//! `[[carriers]]` and `[[carriers.gateways]]`: our trunks.

use std::fmt;
use std::time::Duration;

use nexo_actors::trunk::gateway::{CallerStyle, NumberFormat};
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_voice::audio::g711::Codec;
use nexo_voice::net::streams::tls::TlsFiles;
use nexo_voice::sip::message::gateway_uri::GatewayUri;
use zeroize::Zeroize;

use super::read::error::ConfigError;
use super::read::section::{MASK, Reader};

/// `[[carriers]]`: our trunk to one carrier of the numbering plan.
#[derive(Debug, Clone)]
pub struct CarrierConfig {
    /// As the numbering plan names it.
    pub name: String,
    /// How many calls may be in progress at once; one more gets a 503.
    pub channels: u32,
    /// How many calls may be set up in a second. 0: as many as there are.
    pub calls_per_second: u32,
    /// The numbers that we call from, taken in turn. None: anonymous, which many carriers refuse.
    pub caller_ids: Vec<String>,
    /// Where its calls are handed over. None: the sandbox takes them, where it is enabled.
    pub gateways: Vec<GatewayConfig>,
}

/// `[[carriers.gateways]]`: one signalling endpoint of the trunk.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// What logs, metrics and commands call it.
    pub name: String,
    /// Where it is, and how SIP travels there.
    pub uri: GatewayUri,
    /// For digest authentication. Empty: the carrier knows us by our address.
    pub username: String,
    pub password: GatewayPassword,
    /// The only realm that is told who we are. Empty: whatever realm the gateway names.
    pub realm: String,
    /// Whether we register before we call.
    pub register: bool,
    /// For how long; the gateway may want longer.
    pub register_expires_seconds: u32,
    /// Which number it is shown, and where.
    pub caller: CallerStyle,
    /// How long it may stay silent before another one is tried. None: `calls.gateway_timeout_ms`.
    pub timeout: Option<Duration>,
    /// Lower is tried first.
    pub priority: u16,
    /// Its share of the calls among gateways of the same priority.
    pub weight: u16,
    /// How it wants numbers written. A wrong one makes every number invalid.
    pub number_format: NumberFormat,
    /// What it is offered, in order of preference.
    pub codecs: Vec<Codec>,
    /// Whether the audio is encrypted.
    pub srtp: bool,
    /// The name that its certificate must be for. Empty: the URI's host.
    pub tls_name: String,
    /// Files in PEM form: the authorities that are believed instead of the system's, and who we are.
    pub tls: TlsFiles,
    /// How often it is asked whether it lives. 0: never; then only failed calls show that it does not.
    pub options_ping_seconds: u32,
}

impl GatewayConfig {
    /// Whether it is the same far end, reached, asked and registered with in the same way. How calls are shared
    /// out to it may differ.
    pub fn is_same_peer(&self, other: &GatewayConfig) -> bool {
        let reached = |gateway: &GatewayConfig| {
            (
                gateway.name.clone(),
                gateway.uri.clone(),
                gateway.username.clone(),
                gateway.realm.clone(),
                (gateway.register, gateway.register_expires_seconds),
                gateway.tls_name.clone(),
                gateway.options_ping_seconds,
            )
        };
        let files = |gateway: &GatewayConfig| {
            let TlsFiles {
                authority,
                certificate,
                key,
            } = gateway.tls.clone();
            (authority, certificate, key)
        };
        reached(self) == reached(other)
            && files(self) == files(other)
            && self.password == other.password
    }
}

/// A gateway's password. `Debug` hides it and its memory is wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct GatewayPassword(String);

impl GatewayPassword {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The password itself, for answering challenges.
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

/// Reads all carriers, and checks that none is there twice.
pub(super) fn read(reader: &mut Reader) -> Result<Vec<CarrierConfig>, ConfigError> {
    let mut carriers: Vec<CarrierConfig> = Vec::new();
    for path in reader.tables("carriers")? {
        let carrier = CarrierConfig::read(reader, &path)?;
        if carriers.iter().any(|earlier| earlier.name == carrier.name) {
            let key = format!("{path}.name");
            return Err(reader.refuse(&key, "one [[carriers]] table for each carrier"));
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
            channels: table.whole("channels", 500, 1..=100_000)?,
            calls_per_second: table.whole("calls_per_second", 50, 0..=100_000)?,
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
                return Err(reader.refuse(&key, "false, or true beside a username"));
            }
            if gateway.username.is_empty() && !gateway.password.is_empty() {
                let key = format!("{path}.password");
                return Err(reader.refuse(&key, "empty, or beside a username"));
            }
            if carrier.gateways.iter().any(|g| g.name == gateway.name) {
                let key = format!("{path}.name");
                return Err(reader.refuse(&key, "a name that no other gateway of the carrier has"));
            }
            carrier.gateways.push(gateway);
        }
        Ok(carrier)
    }
}

impl GatewayConfig {
    fn read(reader: &mut Reader, path: &str) -> Result<Self, ConfigError> {
        let mut table = reader.table(path);
        let any_text = |text: &str| Some(text.to_owned());
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
            username: table.parsed("username", "", "text", any_text)?,
            password: table.masked(
                "password",
                "",
                "text",
                |text| Some(GatewayPassword(text.to_owned())),
                |text| if text.is_empty() { String::new() } else { MASK.to_owned() },
            )?,
            realm: table.parsed("realm", "", "text", any_text)?,
            register: table.flag("register", false)?,
            register_expires_seconds: table.whole(
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
            timeout: match table.whole::<u64>("timeout_ms", 0, 0..=32_000)? {
                0 => None,
                timeout_ms => Some(Duration::from_millis(timeout_ms)),
            },
            priority: table.whole("priority", 1, 0..=65_535)?,
            weight: table.whole("weight", 10, 0..=65_535)?,
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
                .whole("options_ping_seconds", 30, 0..=3_600)?,
        })
    }
}

fn read_tls(reader: &mut Reader, path: &str) -> Result<TlsFiles, ConfigError> {
    let mut table = reader.table(path);
    let file = |text: &str| Some((!text.is_empty()).then(|| text.into()));
    let allowed = "empty, or the path of a file in PEM form";
    Ok(TlsFiles {
        authority: table.parsed("tls_ca", "", allowed, file)?,
        certificate: table.parsed("tls_certificate", "", allowed, file)?,
        key: table.parsed("tls_key", "", allowed, file)?,
    })
}

fn read_codecs(reader: &mut Reader, path: &str) -> Result<Vec<Codec>, ConfigError> {
    let allowed = r#"a list of "PCMA" and "PCMU", each at most once and at least one"#;
    let mut table = reader.table(path);
    let codecs = table.list("codecs", &["PCMA", "PCMU"], allowed, Codec::from_name)?;
    let doubled = codecs
        .iter()
        .enumerate()
        .any(|(place, codec)| codecs[..place].contains(codec));
    match codecs.is_empty() || doubled {
        true => Err(reader.refuse(&format!("{path}.codecs"), allowed)),
        false => Ok(codecs),
    }
}

const FROM_USER: &str = "empty, or 1 to 64 letters, digits and - _ . + that From holds";
const FROM_DOMAIN: &str = "empty, or a host name or IP address";

fn parse_from_user(text: &str) -> Option<Option<String>> {
    let sane = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    match (text.len(), text.chars().all(sane)) {
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
    let sane = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    ((1..=32).contains(&text.len()) && text.chars().all(sane)).then(|| text.to_owned())
}

fn parse_caller_id(text: &str) -> Option<String> {
    let digits = text.strip_prefix('+')?;
    let sane = (8..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    sane.then(|| text.to_owned())
}
