//! TLS: certificates and keys from PEM files, and what is made of them.
//!
//! Guarantees that what cannot work (a file without a certificate, a key that does not belong to it)
//! is found when it is read, and not at the first connection. Never shows a key.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Longest file of certificates that is read, in bytes.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// A certificate and those that vouch for it, its own first.
pub type Certificates = Vec<CertificateDer<'static>>;

/// Why a file, or a pair of them, is of no use.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be had.
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The file is longer than any that is meant.
    #[error("the file is longer than {FILE_MAX_BYTES} bytes")]
    TooLong,
    /// There is no certificate in it.
    #[error("the file holds no certificate: it must be PEM, with a line BEGIN CERTIFICATE")]
    NoCertificate,
    /// There is no key in it, or one with a passphrase.
    #[error(
        "the file holds no private key: it must be PEM, with a line BEGIN PRIVATE KEY, and without \
         a passphrase"
    )]
    NoKey,
    /// The two do not belong together, or cannot be used.
    #[error("the key and the certificate cannot be used together: {0}")]
    Pair(rustls::Error),
    /// A certificate of an authority cannot be used.
    #[error("a certificate in it cannot be used: {0}")]
    Authority(rustls::Error),
    /// The machine trusts nobody.
    #[error("this machine has no certificates of authorities")]
    NoAuthorities,
    /// The cryptography cannot do what is asked of it.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// The certificates in a PEM file: at least one.
pub fn certificates(path: &Path) -> Result<Certificates, TlsError> {
    let pem = read(path)?;
    let read: Result<Certificates, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TlsError::NoCertificate),
    }
}

/// The private key in a PEM file.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_| TlsError::NoKey)
}

/// Trust in these authorities.
pub fn trust(authorities: Certificates) -> Result<RootCertStore, TlsError> {
    let mut trusted = RootCertStore::empty();
    for authority in authorities {
        trusted.add(authority).map_err(TlsError::Authority)?;
    }
    Ok(trusted)
}

/// Trust in the authorities that this machine trusts.
pub fn trust_of_the_machine() -> Result<RootCertStore, TlsError> {
    let mut trusted = RootCertStore::empty();
    // Some machines have certificates that are of no use here; the others are enough.
    trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if trusted.is_empty() { Err(TlsError::NoAuthorities) } else { Ok(trusted) }
}

/// How the daemon speaks to a broker; with a certificate of its own, if it has one.
pub fn client(
    trusted: RootCertStore,
    own: Option<(Certificates, PrivateKeyDer<'static>)>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_root_certificates(trusted);
    let client = match own {
        Some((certificates, key)) => {
            client.with_client_auth_cert(certificates, key).map_err(TlsError::Pair)?
        }
        None => client.with_no_client_auth(),
    };
    Ok(Arc::new(client))
}

/// How the embedded broker speaks to phones.
pub fn server(
    certificates: Certificates,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(TlsError::Pair)?;
    Ok(Arc::new(server))
}

/// Named here, because a process whose crates bring two has no default.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read <= FILE_MAX_BYTES) {
        Ok(bytes)
    } else {
        Err(TlsError::TooLong)
    }
}
