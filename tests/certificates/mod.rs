//! Certificates made for one test: by a CA, by themselves, and of a version that rustls does not read.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses its own part"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    PublicKeyData, SigningKey,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tempfile::TempDir;

/// A certificate and its key, in files and in memory.
pub struct Identity {
    pub der: CertificateDer<'static>,
    pub key: KeyPair,
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
}

/// A CA, and the folder where all that it makes is written.
pub struct Authority {
    pub folder: TempDir,
    pub root: Identity,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Authority {
        let folder = tempfile::tempdir().unwrap();
        // A name of its own: who has the same is asked for a signature, and fails in another way.
        let mut params = params(&folder.path().to_string_lossy(), &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let root = write(folder.path(), "root", certificate.der().to_vec(), key);
        let key = KeyPair::from_pem(&root.key.serialize_pem()).unwrap();
        Authority {
            folder,
            root,
            issuer: Issuer::new(params, key),
        }
    }

    /// Signed by the CA, for `names`, with the first as its common name too.
    pub fn sign(&self, file: &str, names: &[&str]) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params(names[0], names)
            .signed_by(&key, &self.issuer)
            .unwrap();
        write(self.folder.path(), file, certificate.der().to_vec(), key)
    }

    /// Signed by itself and marked as a CA, as `openssl req -x509` makes them.
    pub fn self_signed(&self, file: &str, name: &str) -> Identity {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        write(self.folder.path(), file, certificate.der().to_vec(), key)
    }

    /// Signed by itself, X.509 version 1: no extensions, no version field.
    pub fn version_1(&self, file: &str, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        // ecdsa-with-SHA256
        let algorithm = der(0x30, &[der(0x06, b"\x2a\x86\x48\xce\x3d\x04\x03\x02")]);
        let common_name = [der(0x06, b"\x55\x04\x03"), der(0x0c, name.as_bytes())];
        let name = der(0x30, &[der(0x31, &[der(0x30, &common_name)])]);
        let validity = [der(0x17, b"200101000000Z"), der(0x17, b"491231235959Z")];
        let signed = der(
            0x30,
            &[
                der(0x02, b"\x01"),
                algorithm.clone(),
                name.clone(),
                der(0x30, &validity),
                name,
                key.subject_public_key_info(),
            ],
        );
        let signature = key.sign(&signed).unwrap();
        let bits = der(0x03, &[&[0][..], &signature].concat());
        let certificate = der(0x30, &[signed, algorithm, bits]);
        write(self.folder.path(), file, certificate, key)
    }
}

fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}

/// One element in DER, its body given whole or in parts.
fn der(tag: u8, body: &(impl Body + ?Sized)) -> Vec<u8> {
    let body = body.joined();
    let mut element = vec![tag];
    match body.len() {
        length @ 0..128 => element.push(u8::try_from(length).unwrap()),
        length => {
            element.push(0x82);
            element.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    element.extend(body);
    element
}

trait Body {
    fn joined(&self) -> Vec<u8>;
}

impl Body for [u8] {
    fn joined(&self) -> Vec<u8> {
        self.to_vec()
    }
}

impl Body for Vec<u8> {
    fn joined(&self) -> Vec<u8> {
        self.clone()
    }
}

impl<const N: usize> Body for [u8; N] {
    fn joined(&self) -> Vec<u8> {
        self.to_vec()
    }
}

impl<const N: usize> Body for [Vec<u8>; N] {
    fn joined(&self) -> Vec<u8> {
        self.concat()
    }
}

fn write(folder: &Path, file: &str, certificate: Vec<u8>, key: KeyPair) -> Identity {
    let certificate_file = folder.join(format!("{file}.crt"));
    let key_file = folder.join(format!("{file}.key"));
    std::fs::write(&certificate_file, pem(&certificate)).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    Identity {
        der: certificate.into(),
        key,
        certificate_file,
        key_file,
    }
}

fn pem(certificate: &[u8]) -> String {
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in base64(certificate).as_bytes().chunks(64) {
        text.push_str(std::str::from_utf8(line).unwrap());
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = three
            .iter()
            .chain(&[0, 0])
            .take(3)
            .fold(0_usize, |number, byte| (number << 8) | usize::from(*byte));
        for place in 0..4 {
            match place <= three.len() {
                true => text.push(char::from(DIGITS[(number >> (18 - 6 * place)) & 63])),
                false => text.push('='),
            }
        }
    }
    text
}

// ---- the other ends of TLS ----

/// A server that shows `certificate` and signs with `key`, which need not be its own.
pub fn server_config(
    certificate: &Identity,
    key: &Identity,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let key = PrivateKeyDer::from_pem_file(&key.key_file).unwrap();
    let key = ring::default_provider()
        .key_provider
        .load_private_key(key)
        .unwrap();
    let certified = CertifiedKey::new(vec![certificate.der.clone()], key);
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
}

/// A client that trusts `root`, and shows `identity` where it has one.
pub fn client_config(
    root: &Identity,
    identity: Option<&Identity>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(root.der.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = PrivateKeyDer::from_pem_file(&identity.key_file).unwrap();
            builder
                .with_client_auth_cert(vec![identity.der.clone()], key)
                .unwrap()
        }
    }
}
