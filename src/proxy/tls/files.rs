//! Certificates and keys in PEM files, and what to say when one is of no use.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor};

use super::certificate;

/// Where distributions keep the certificates that the system trusts; the first that exists is read.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// A file larger than this holds no certificates that anybody meant.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// A listener's certificate.
    Certificate,
    /// Its key.
    Key,
    /// Who may sign the certificates of a listener's clients.
    ClientCa,
    /// An upstream's `sslrootcert`.
    Root,
    /// An upstream's `sslcert`.
    ClientCertificate,
    /// An upstream's `sslkey`.
    ClientKey,
}

/// Why TLS cannot be set up as configured. No variant holds anything of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// A file cannot be read, or is of no use.
    #[error("{}: {message}", path.display())]
    File {
        /// What it is for.
        file: File,
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// There is no bundle in any of the usual places.
    #[error("this system has no certificate bundle at {}", SYSTEM_BUNDLES.join(", "))]
    NoSystemBundle,
    /// `verify-full` with a host that no certificate can name.
    #[error("`{0}` is no name that a certificate could hold; sslmode=verify-full needs one")]
    Host(String),
    /// The cryptography lacks a version of TLS.
    #[error("{0}")]
    Protocol(String),
}

impl FileError {
    pub(super) fn new(file: File, path: &Path, message: impl fmt::Display) -> FileError {
        FileError::File {
            file,
            path: path.to_owned(),
            message: message.to_string(),
        }
    }

    /// The file that is wrong, where it is one that was named.
    pub fn file(&self) -> Option<File> {
        match self {
            FileError::File { file, .. } => Some(*file),
            FileError::NoSystemBundle => Some(File::Root),
            FileError::Host(_) | FileError::Protocol(_) => None,
        }
    }
}

/// All certificates of a file, at least one, in their order.
pub(super) fn certificates(
    file: File,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let pem = read(file, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(FileError::new(
            file,
            path,
            "no certificate in PEM form is in it (-----BEGIN CERTIFICATE-----)",
        )),
        Ok(found) => Ok(found),
        Err(error) => Err(FileError::new(file, path, describe(&error))),
    }
}

/// The first private key of a file.
pub(super) fn private_key(file: File, path: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    let pem = read(file, path)?;
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(key) => Ok(key),
        Err(PemError::NoItemsFound) if is_encrypted(&pem) => Err(FileError::new(
            file,
            path,
            "the key is encrypted, and nobody is there to ask for its passphrase; store it without one \
             (openssl pkey -in FILE -out FILE)",
        )),
        Err(PemError::NoItemsFound) => Err(FileError::new(
            file,
            path,
            "no private key in PEM form is in it (-----BEGIN PRIVATE KEY-----)",
        )),
        Err(error) => Err(FileError::new(file, path, describe(&error))),
    }
}

fn is_encrypted(pem: &[u8]) -> bool {
    memchr::memmem::find(pem, b"BEGIN ENCRYPTED PRIVATE KEY").is_some()
}

/// As roots that may sign. Old ones have no version, which rustls' own reader takes for malformed.
pub(super) fn roots(
    file: File,
    path: &Path,
    certificates: &[CertificateDer<'static>],
) -> Result<RootCertStore, FileError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        match (
            roots.add(certificate.clone()),
            certificate::version_1(certificate),
        ) {
            (Ok(()), _) => {}
            (Err(_), Some((subject, key))) => roots.roots.push(TrustAnchor {
                subject: subject.to_vec().into(),
                subject_public_key_info: key.to_vec().into(),
                name_constraints: None,
            }),
            (Err(error), None) => return Err(FileError::new(file, path, error)),
        }
    }
    Ok(roots)
}

/// What the system trusts.
pub(super) fn system_certificates() -> Result<Vec<CertificateDer<'static>>, FileError> {
    let bundle = SYSTEM_BUNDLES.iter().map(Path::new).find(|p| p.exists());
    certificates(File::Root, bundle.ok_or(FileError::NoSystemBundle)?)
}

fn read(file: File, path: &Path) -> Result<Vec<u8>, FileError> {
    let refused = |error: std::io::Error| FileError::new(file, path, error);
    let size = std::fs::metadata(path).map_err(refused)?.len();
    if size > FILE_BYTES_MAX {
        let message = format!("is too large for certificates: {size} bytes");
        return Err(FileError::new(file, path, message));
    }
    std::fs::read(path).map_err(refused)
}

/// Without the offending bytes: they may be a key's.
fn describe(error: &PemError) -> &'static str {
    match error {
        PemError::MissingSectionEnd { .. } => "a PEM section has no end",
        PemError::IllegalSectionStart { .. } => "a PEM section begins with a malformed line",
        PemError::Base64Decode(_) => "a PEM section is no base64",
        PemError::Io(_) => "it cannot be read",
        _ => "it is not in PEM form",
    }
}
