//! The steps of a start that can fail because of the configuration or the files that it names, without their effects:
//! nothing is created, migrated, dialled or served. `nexo config check` takes them in the order of a start.
//!
//! What a running gateway occupies is not an error: its ports, its SQLite file, its node name.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use nexo_actors::dns::Resolver;
use nexo_entities::store::connection::preflight::can_create_in;
use nexo_voice::endpoint::{Endpoint, EndpointError};
use nexo_voice::net::streams::StreamsError;
use nexo_voice::rtp::send::ports::PortsError;
use nexo_voice::speech::prompts::PromptSet;

use super::{Ports, settings};
use crate::config::Config;
use crate::dashboard::Mailer;
use crate::database::installation;
use crate::{database, telemetry, trunks, voice};

/// Finds what would keep a gateway with this configuration from starting.
///
/// # Errors
/// The first obstacle, in one line with its remedy.
pub async fn check(config: &Config) -> anyhow::Result<()> {
    telemetry::check_traces(config)?;
    Ports::check(config)?;
    let prompts = voice::prompts(config)?;
    let database = database::check(&config.database).await?;
    installation::check(config, database.secret_check.as_deref())?;
    let resolver = Resolver::start(&config.dns.servers).context("the DNS thread cannot start")?;
    check_record_dir(config)?;
    let locator = trunks::DnsLocator::of(config)?;
    trunks::from_config(config, None, false, &locator).await?;
    check_sip_ports(config, prompts).await?;
    settings::webhook_client(config, &resolver)?;
    Mailer::new(&config.mail, resolver)?;
    Ok(())
}

fn check_record_dir(config: &Config) -> anyhow::Result<()> {
    let dir = &config.sandbox.record_dir;
    if !config.sandbox.enabled || dir.is_empty() {
        return Ok(());
    }
    can_create_in(Path::new(dir))
        .with_context(|| format!("sandbox.record_dir: cannot save calls in {dir}"))
}

/// Opens and closes the SIP and RTP ports. Ports in use may be so by the running gateway.
async fn check_sip_ports(config: &Config, prompts: &'static PromptSet) -> anyhow::Result<()> {
    match Endpoint::start(settings::endpoint_config(config)?, prompts).await {
        Ok(endpoint) => endpoint.shutdown(Duration::ZERO).await,
        Err(
            EndpointError::AddressInUse { .. }
            | EndpointError::Ports(PortsError::NoneFree { .. })
            | EndpointError::Streams(StreamsError::AddressInUse { .. }),
        ) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
