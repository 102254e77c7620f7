//! TLS settings for a gateway (RFC 5922): its name, the trusted authorities, and our client certificate.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

/// Why the TLS settings of a gateway cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("{name:?} is not a host name or an IP address, as TLS certificates need")]
    Name { name: String },
    #[error("cannot read {path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path} contains no certificate in PEM format")]
    NoCertificate { path: PathBuf },
    #[error("{path} contains no private key in PEM format")]
    NoKey { path: PathBuf },
    #[error("{path} contains a certificate that cannot be used as an authority: {source}")]
    Authority { path: PathBuf, source: rustls::Error },
    #[error("a client certificate needs both the certificate and its key")]
    IncompleteIdentity,
    #[error("the client certificate cannot be used with its key: {0}")]
    Identity(rustls::Error),
    #[error(
        "this system has no CA certificates: configure the one that signed the certificate of the gateway"
    )]
    NoRoots,
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// The PEM files for a gateway. All are optional.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// The trusted authorities; by default those of the system.
    pub authority: Option<PathBuf>,
    /// Our client certificate, if the gateway requires one.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// The TLS settings for one gateway.
pub struct TlsProfile {
    pub(super) config: Arc<ClientConfig>,
    pub(super) server_name: ServerName<'static>,
}

impl std::fmt::Debug for TlsProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsProfile").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

impl TlsProfile {
    /// The settings for a gateway whose certificate must be valid for `server_name`.
    ///
    /// # Errors
    /// [`TlsError`], with the invalid file.
    pub fn build(server_name: &str, files: &TlsFiles) -> Result<TlsProfile, TlsError> {
        let name = server_name.trim_start_matches('[').trim_end_matches(']');
        let server_name = ServerName::try_from(name.to_owned())
            .map_err(|_| TlsError::Name { name: name.to_owned() })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_root_certificates(roots(files.authority.as_deref())?);
        let config = match (&files.certificate, &files.key) {
            (None, None) => config.with_no_client_auth(),
            (Some(certificate), Some(key)) => config
                .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
                .map_err(TlsError::Identity)?,
            (Some(_), None) | (None, Some(_)) => return Err(TlsError::IncompleteIdentity),
        };
        Ok(TlsProfile { config: Arc::new(config), server_name })
    }
}

fn roots(authority: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match authority {
        Some(path) => {
            for certificate in certificates(path)? {
                roots
                    .add(certificate)
                    .map_err(|source| TlsError::Authority { path: path.to_owned(), source })?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(TlsError::NoRoots);
            }
        }
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let none = || TlsError::NoCertificate { path: path.to_owned() };
    let text = read(path)?;
    let found = CertificateDer::pem_slice_iter(&text);
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|_| none())?;
    match found.is_empty() {
        true => Err(none()),
        false => Ok(found),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|_| TlsError::NoKey { path: path.to_owned() })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}
