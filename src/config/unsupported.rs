//! What can be written in the configuration but not be honoured by this version.
//!
//! It is refused at the start: a trunk that seems to work and does not is worse than none.

use super::Config;
use super::error::ConfigError;

use super::section::Reader;
use nexo_voice::sip::hop::Transport;

/// Refuses the first setting that this version cannot honour.
pub(super) fn refuse(config: &Config, reader: &Reader) -> Result<(), ConfigError> {
    for (c, carrier) in config.carriers.iter().enumerate() {
        for (g, gateway) in carrier.gateways.iter().enumerate() {
            let refused = [(
                "uri",
                gateway.uri.transport_or_udp() != Transport::Udp,
                "transport=udp: this version speaks SIP over UDP only",
            )];
            if let Some((key, _, allowed)) = refused.iter().find(|(_, refused, _)| *refused) {
                let path = format!("carriers[{c}].gateways[{g}].{key}");
                return Err(reader.refuse(&path, *allowed));
            }
        }
    }
    Ok(())
}
