//! How TLS is spoken to a gateway (RFC 5922): its name, whom we believe, and who we are.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

/// Why TLS cannot be spoken to a gateway.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("{name:?} is no host name or IP address that a certificate could be for")]
    Name { name: String },
    #[error("{path} holds no certificate in PEM form")]
    NoCertificate { path: PathBuf },
    #[error("{path} holds no private key in PEM form")]
    NoKey { path: PathBuf },
    #[error("{path} holds a certificate that is no authority's: {source}")]
    Authority {
        path: PathBuf,
        source: rustls::Error,
    },
    #[error("a client certificate needs both a certificate and its key")]
    HalfAnIdentity,
    #[error("the client certificate cannot be used with its key: {0}")]
    Identity(rustls::Error),
    #[error(
        "this system has no certificates of authorities: name one that the gateway is signed by"
    )]
    NoRoots,
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// The files of a gateway's TLS; empty paths are left out.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// The authorities that are believed instead of the system's.
    pub authority: Option<PathBuf>,
    /// Who we are, where the gateway wants to know.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// How TLS is spoken to one gateway.
pub struct TlsProfile {
    pub(super) config: Arc<ClientConfig>,
    pub(super) server_name: ServerName<'static>,
}

impl std::fmt::Debug for TlsProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsProfile")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl TlsProfile {
    /// A profile for the gateway of this name, which its certificate must be for.
    ///
    /// # Errors
    /// [`TlsError`], naming the file that is wrong.
    pub fn build(server_name: &str, files: &TlsFiles) -> Result<TlsProfile, TlsError> {
        let name = server_name.trim_start_matches('[').trim_end_matches(']');
        let server_name = ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name {
            name: name.to_owned(),
        })?;
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
            (Some(_), None) | (None, Some(_)) => return Err(TlsError::HalfAnIdentity),
        };
        Ok(TlsProfile {
            config: Arc::new(config),
            server_name,
        })
    }
}

fn roots(authority: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match authority {
        Some(path) => {
            for certificate in certificates(path)? {
                roots
                    .add(certificate)
                    .map_err(|source| TlsError::Authority {
                        path: path.to_owned(),
                        source,
                    })?;
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
    let none = || TlsError::NoCertificate {
        path: path.to_owned(),
    };
    let found = CertificateDer::pem_file_iter(path).map_err(|_| none())?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|_| none())?;
    match found.is_empty() {
        true => Err(none()),
        false => Ok(found),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|_| TlsError::NoKey {
        path: path.to_owned(),
    })
}

/// A handshake's failure as an error of the connection.
pub(super) fn handshake_failed(error: io::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
