//! TLS on both legs: which files make an [`Acceptor`] (towards clients) or a [`Connector`] (towards the upstream), and
//! the handshakes.
//!
//! *Architecture invariants:* nothing outside of [`crate::proxy`] names rustls; a file is read and checked when the
//! configuration is, never while a client waits; who shows a certificate proves its key, whatever else is not checked
//! (see [`verify`]).

mod binding;
mod certificate;
mod files;
mod verify;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, IpAddr, Ipv4Addr, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::socket::Socket;
use verify::{Trust, UpstreamVerifier};

pub(super) use binding::Binding;
pub use files::{File, FileError};

/// What PostgreSQL's protocol is called in ALPN.
const ALPN: &[u8] = b"postgresql";

/// The cryptography of both legs.
static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientVerify {
    /// They are not.
    #[default]
    Off,
    /// One that is shown must be signed by the CA; none is fine.
    Optional,
    /// No TLS without a certificate that is signed by the CA.
    Required,
}

/// The oldest version of TLS that clients may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the versions' own names")]
pub enum MinVersion {
    #[default]
    Tls12,
    Tls13,
}

impl MinVersion {
    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        match self {
            MinVersion::Tls12 => &BOTH,
            MinVersion::Tls13 => &BOTH[..1],
        }
    }
}

/// What an [`Acceptor`] is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptorFiles {
    /// The certificate and what leads from it to a root, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// Whose signature the clients' certificates need; wanted unless `client_verify` is off.
    pub client_ca: Option<PathBuf>,
    /// Whether clients are asked for a certificate.
    pub client_verify: ClientVerify,
    /// The oldest version of TLS.
    pub min_version: MinVersion,
}

/// Ends the TLS of a listener's clients.
#[derive(Clone)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    chain: Vec<CertificateDer<'static>>,
    client_ca: Vec<CertificateDer<'static>>,
    client_verify: ClientVerify,
    min_version: MinVersion,
}

impl Acceptor {
    /// Reads the files; the error names the one that is wrong.
    pub fn read(from: &AcceptorFiles) -> Result<Acceptor, FileError> {
        let chain = files::certificates(File::Certificate, &from.certificate)?;
        let key = files::private_key(File::Key, &from.key)?;
        let identity = certified(
            &chain,
            key,
            (File::Certificate, &from.certificate),
            (File::Key, &from.key),
        )?;
        let client_ca = match (&from.client_ca, from.client_verify) {
            (Some(path), ClientVerify::Optional | ClientVerify::Required) => {
                files::certificates(File::ClientCa, path)?
            }
            _ => Vec::new(),
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_protocol_versions(from.min_version.versions())
            .map_err(|error| FileError::new(File::Certificate, &from.certificate, error))?;
        let builder = match (&from.client_ca, from.client_verify) {
            (Some(path), ClientVerify::Optional | ClientVerify::Required) => {
                let roots = Arc::new(files::roots(File::ClientCa, path, &client_ca)?);
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&PROVIDER));
                let verifier = match from.client_verify {
                    ClientVerify::Required => verifier,
                    _ => verifier.allow_unauthenticated(),
                };
                let verifier = verifier
                    .build()
                    .map_err(|error| FileError::new(File::ClientCa, path, error))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
        config.alpn_protocols = vec![ALPN.to_vec()];
        // As PostgreSQL, which resumes no TLS sessions either: tickets would be sent to no use.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Acceptor {
            config: Arc::new(config),
            chain,
            client_ca,
            client_verify: from.client_verify,
            min_version: from.min_version,
        })
    }

    /// TLS on a socket whose next byte is the client's ClientHello.
    pub(super) async fn accept(&self, client: Socket, hello: Hello) -> io::Result<Socket> {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&self.config));
        let stream = acceptor.accept(client).await?;
        if hello == Hello::Direct && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "direct TLS without the ALPN protocol `postgresql`",
            ));
        }
        Ok(Socket::from_tls(stream.into()))
    }

    /// The certificate that clients see.
    fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.chain.first()
    }
}

/// How a client came to TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hello {
    /// Its SSLRequest was answered `S`.
    Requested,
    /// It began with it; then ALPN must say that it means PostgreSQL.
    Direct,
}

impl PartialEq for Acceptor {
    /// Whether clients would see a difference. The key is the certificate's own.
    fn eq(&self, other: &Acceptor) -> bool {
        self.chain == other.chain
            && self.client_ca == other.client_ca
            && self.client_verify == other.client_verify
            && self.min_version == other.min_version
    }
}

impl Eq for Acceptor {}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor")
            .field("certificates", &self.chain.len())
            .field("client_verify", &self.client_verify)
            .field("min_version", &self.min_version)
            .finish_non_exhaustive()
    }
}

/// libpq's `sslmode`, less `allow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// TLS where the server has it.
    #[default]
    Prefer,
    /// TLS, with whatever certificate, unless there is a root certificate to compare with.
    Require,
    /// TLS with a certificate that a root signed.
    VerifyCa,
    /// The same, and the certificate names the host.
    VerifyFull,
}

impl SslMode {
    /// libpq's word.
    pub fn as_str(self) -> &'static str {
        match self {
            SslMode::Disable => "disable",
            SslMode::Prefer => "prefer",
            SslMode::Require => "require",
            SslMode::VerifyCa => "verify-ca",
            SslMode::VerifyFull => "verify-full",
        }
    }
}

impl fmt::Display for SslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which certificates may sign the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// Those of this file.
    File(PathBuf),
    /// Those that the operating system trusts.
    System,
}

/// What a [`Connector`] is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorFiles {
    /// As in libpq; not [`SslMode::Disable`], which needs no connector.
    pub sslmode: SslMode,
    /// The host as configured: what SNI says and `verify-full` looks for.
    pub host: String,
    /// `sslrootcert`; needed by `verify-ca` and `verify-full`.
    pub roots: Option<Roots>,
    /// `sslcert` and `sslkey`.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Whether the host's name is sent before the handshake is encrypted.
    pub sni: bool,
}

/// Begins TLS with an upstream.
#[derive(Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    sslmode: SslMode,
    host: String,
    sni: bool,
    roots: Vec<CertificateDer<'static>>,
    chain: Vec<CertificateDer<'static>>,
}

impl Connector {
    /// Reads the files; the error names the one that is wrong.
    pub fn read(from: &ConnectorFiles) -> Result<Connector, FileError> {
        let roots = match &from.roots {
            None => Vec::new(),
            Some(Roots::File(path)) => files::certificates(File::Root, path)?,
            Some(Roots::System) => files::system_certificates()?,
        };
        let trust = match &from.roots {
            None => Trust::Anybody,
            Some(place) => Trust::Signed {
                roots: match place {
                    Roots::File(path) => files::roots(File::Root, path, &roots)?,
                    Roots::System => {
                        let mut store = RootCertStore::empty();
                        store.add_parsable_certificates(roots.iter().cloned());
                        store
                    }
                },
                pins: roots.clone(),
                check_name: from.sslmode == SslMode::VerifyFull,
            },
        };
        let name = match (ServerName::try_from(from.host.clone()), from.sslmode) {
            (Ok(name), _) => name,
            (Err(_), SslMode::VerifyFull) => {
                return Err(FileError::Host(from.host.clone()));
            }
            // Neither sent nor compared.
            (Err(_), _) => ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0, 0, 0, 0]))),
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_protocol_versions(MinVersion::Tls12.versions())
            .map_err(|error| FileError::Protocol(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(UpstreamVerifier::new(
                trust,
                PROVIDER.signature_verification_algorithms,
            )));
        let (mut config, chain) = match &from.identity {
            None => (builder.with_no_client_auth(), Vec::new()),
            Some((certificate, key)) => {
                let chain = files::certificates(File::ClientCertificate, certificate)?;
                let private = files::private_key(File::ClientKey, key)?;
                let identity = certified(
                    &chain,
                    private,
                    (File::ClientCertificate, certificate),
                    (File::ClientKey, key),
                )?;
                let resolver = Arc::new(SingleCertAndKey::from(identity));
                (builder.with_client_cert_resolver(resolver), chain)
            }
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.enable_sni = from.sni;
        // PostgreSQL resumes no sessions, and a resumed one would not be verified again.
        config.resumption = Resumption::disabled();
        Ok(Connector {
            config: Arc::new(config),
            name,
            sslmode: from.sslmode,
            host: from.host.clone(),
            sni: from.sni,
            roots,
            chain,
        })
    }

    /// How much of TLS the upstream owes us.
    pub fn sslmode(&self) -> SslMode {
        self.sslmode
    }

    /// TLS on a socket to a server that answered `S`.
    pub(super) async fn connect(&self, upstream: Socket) -> io::Result<Socket> {
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&self.config));
        let stream = connector.connect(self.name.clone(), upstream).await?;
        Ok(Socket::from_tls(stream.into()))
    }
}

impl PartialEq for Connector {
    /// Whether an upstream would see a difference, or be trusted differently.
    fn eq(&self, other: &Connector) -> bool {
        self.sslmode == other.sslmode
            && self.host == other.host
            && self.sni == other.sni
            && self.roots == other.roots
            && self.chain == other.chain
    }
}

impl Eq for Connector {}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("sslmode", &self.sslmode)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// A certificate with its key, proved to belong together; old certificates that rustls cannot read are fine.
fn certified(
    chain: &[CertificateDer<'static>],
    key: PrivateKeyDer<'static>,
    (certificate_file, certificate_path): (File, &PathBuf),
    (key_file, key_path): (File, &PathBuf),
) -> Result<CertifiedKey, FileError> {
    let key = PROVIDER
        .key_provider
        .load_private_key(key)
        .map_err(|error| FileError::new(key_file, key_path, error))?;
    let wanted = chain.first().and_then(|leaf| certificate::public_key(leaf));
    let Some(wanted) = wanted else {
        let message = "its first certificate cannot be read";
        return Err(FileError::new(certificate_file, certificate_path, message));
    };
    if key.public_key().is_some_and(|own| own.as_ref() != wanted) {
        let message = format!("is not the key of {}", certificate_path.display());
        return Err(FileError::new(key_file, key_path, message));
    }
    Ok(CertifiedKey::new(chain.to_vec(), key))
}
