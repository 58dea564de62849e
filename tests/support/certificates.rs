//! Certificates of authorities that exist for one test only.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// An authority, and the folder into which it writes.
pub struct Authority {
    folder: PathBuf,
    name: &'static str,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in files.
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    /// Makes one, and its certificate in `NAME.crt`.
    pub fn new(folder: &Path, name: &'static str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let this = Self { folder: folder.to_owned(), name, issuer: Issuer::new(params, key) };
        std::fs::write(this.certificate(), certificate.pem()).expect("a file");
        this
    }

    /// The file with its certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join(format!("{}.crt", self.name))
    }

    /// Makes a certificate for that host, in `FILE.crt` and `FILE.key`.
    pub fn certify(&self, file: &str, host: &str) -> Pair {
        self.certify_until(file, host, 2999)
    }

    pub fn certify_until(&self, file: &str, host: &str, year: i32) -> Pair {
        let mut params = CertificateParams::new([host.to_owned()]).expect("a name");
        params.not_after = date_time_ymd(year, 1, 1);
        params.distinguished_name.push(DnType::CommonName, file);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let path = |end: &str| self.folder.join(format!("{file}.{end}"));
        let pair = Pair { certificate: path("crt"), key: path("key") };
        std::fs::write(&pair.certificate, certificate.pem()).expect("a file");
        std::fs::write(&pair.key, key.serialize_pem()).expect("a file");
        pair
    }
}
