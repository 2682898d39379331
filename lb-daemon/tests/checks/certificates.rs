//! A certificate authority of the test's own.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

/// Issues certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes the authority's own certificate.
    pub fn write(&self, path: &Path) {
        fs::write(path, self.0.pem()).unwrap();
    }

    /// Writes `NAME.pem` and `NAME.key` for hosts and addresses, good until the end of a year.
    pub fn issue(&self, dir: &Path, name: &str, subjects: &[&str], last_year: i32) {
        let key = KeyPair::generate().unwrap();
        let certificate = params(subjects, last_year).signed_by(&key, &self.0).unwrap();
        write(dir, name, &certificate.pem(), &key);
    }
}

/// Writes a certificate that vouches for itself.
pub fn self_signed(dir: &Path, name: &str, subjects: &[&str]) {
    let key = KeyPair::generate().unwrap();
    let certificate = params(subjects, 2999).self_signed(&key).unwrap();
    write(dir, name, &certificate.pem(), &key);
}

fn params(subjects: &[&str], last_year: i32) -> CertificateParams {
    let subjects: Vec<String> = subjects.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(subjects).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(last_year, 12, 31);
    params
}

fn write(dir: &Path, name: &str, certificate: &str, key: &KeyPair) {
    fs::write(dir.join(format!("{name}.pem")), certificate).unwrap();
    fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}
