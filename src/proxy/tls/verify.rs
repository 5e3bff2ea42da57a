//! Whether an upstream is who it should be, as libpq decides it.
//!
//! rustls alone is stricter than libpq's OpenSSL: it refuses version 1 certificates and CA certificates used as a
//! server's, which is what many a PostgreSQL has. Without roots nothing is asked of the certificate. With roots, one
//! that stands in the root file itself is accepted by being equal to it, byte for byte: a pin. In all cases the server
//! signs the handshake with the key of the certificate that it showed, and that signature is verified: a certificate is
//! public, so that without this proof showing it would say nothing.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::certificate;

/// Which certificates are accepted.
#[derive(Debug)]
pub(super) enum Trust {
    /// All of them.
    Anybody,
    /// Those that a root signed, and those that stand in the root file themselves.
    Signed {
        roots: RootCertStore,
        pins: Vec<CertificateDer<'static>>,
        /// Whether it must name the host.
        check_name: bool,
    },
}

/// rustls' question to us, once a handshake.
#[derive(Debug)]
pub(super) struct UpstreamVerifier {
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
}

impl UpstreamVerifier {
    pub(super) fn new(trust: Trust, algorithms: WebPkiSupportedAlgorithms) -> UpstreamVerifier {
        UpstreamVerifier { trust, algorithms }
    }

    /// Whether a root's signature stands behind it, or it is a pin; `parsed` is an error where rustls cannot read it.
    fn check_origin(
        &self,
        certificate: &CertificateDer<'_>,
        parsed: Result<&ParsedCertificate<'_>, &Error>,
        intermediates: &[CertificateDer<'_>],
        roots: &RootCertStore,
        pins: &[CertificateDer<'static>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let signed = match parsed {
            Ok(parsed) => verify_server_cert_signed_by_trust_anchor(
                parsed,
                roots,
                intermediates,
                now,
                self.algorithms.all,
            ),
            Err(error) => Err(error.clone()),
        };
        match signed {
            // Out of date is out of date, wherever it stands.
            Err(error) if !is_about_time(&error) && pins.iter().any(|pin| pin == certificate) => {
                Ok(())
            }
            signed => signed,
        }
    }

    /// What rustls does for TLS 1.2, for certificates that it does not parse: any algorithm of the scheme that fits the
    /// key may have made the signature.
    fn verify_with_raw_key(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<(), Error> {
        let (algorithm, key) = certificate::public_key(certificate)
            .and_then(certificate::algorithm_and_bits)
            .ok_or(CertificateError::BadEncoding)?;
        let mapping = self.algorithms.mapping.iter();
        let fitting = mapping
            .filter(|(scheme, _)| *scheme == signed.scheme)
            .flat_map(|(_, candidates)| candidates.iter())
            .filter(|candidate| candidate.public_key_alg_id().as_ref() == algorithm);
        for candidate in fitting {
            if candidate
                .verify_signature(key, message, signed.signature())
                .is_ok()
            {
                return Ok(());
            }
        }
        Err(CertificateError::BadSignature.into())
    }
}

fn is_about_time(error: &Error) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(
        error,
        Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. }
        )
    )
}

/// As libpq: the subject's common name counts where the certificate has no alternative names.
fn check_name(
    certificate: &CertificateDer<'_>,
    parsed: Option<&ParsedCertificate<'_>>,
    host: &ServerName<'_>,
) -> Result<(), Error> {
    let error = match parsed.map(|parsed| verify_server_name(parsed, host)) {
        Some(Ok(())) => return Ok(()),
        Some(Err(error)) => error,
        None => not_valid_for(host, Vec::new()),
    };
    let has_alternatives = matches!(
        &error,
        Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. })
            if !presented.is_empty()
    );
    match certificate::common_name(certificate) {
        _ if has_alternatives => Err(error),
        Some(name) if is_name_of(name, &host.to_str()) => Ok(()),
        Some(name) => Err(not_valid_for(host, vec![format!("{name:?}")])),
        None => Err(error),
    }
}

fn not_valid_for(host: &ServerName<'_>, presented: Vec<String>) -> Error {
    let expected = host.to_owned();
    CertificateError::NotValidForNameContext {
        expected,
        presented,
    }
    .into()
}

/// Whether a certificate's `name` is `host`'s; `*.example` stands for one more label.
fn is_name_of(name: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.');
    match (name.strip_prefix("*."), host.split_once('.')) {
        (Some(domain), Some((label, rest))) => {
            !label.is_empty() && domain.contains('.') && rest.eq_ignore_ascii_case(domain)
        }
        (Some(_), None) => false,
        (None, _) => name.eq_ignore_ascii_case(host),
    }
}

impl ServerCertVerifier for UpstreamVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Trust::Signed {
            roots,
            pins,
            check_name: checks_name,
        } = &self.trust
        else {
            return Ok(ServerCertVerified::assertion());
        };
        let parsed = ParsedCertificate::try_from(end_entity);
        self.check_origin(end_entity, parsed.as_ref(), intermediates, roots, pins, now)?;
        if *checks_name {
            check_name(end_entity, parsed.as_ref().ok(), server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if ParsedCertificate::try_from(certificate).is_ok() {
            return verify_tls12_signature(message, certificate, signed, &self.algorithms);
        }
        self.verify_with_raw_key(message, certificate, signed)?;
        // The one place that says so without rustls: the line above has verified it.
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = certificate::public_key(certificate).ok_or(CertificateError::BadEncoding)?;
        let key = SubjectPublicKeyInfoDer::from(key);
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_are_compared_as_libpq_compares_them() {
        for (name, host, expected) in [
            ("db.example", "db.example", true),
            ("DB.Example", "db.example", true),
            ("db.example", "db.example.", true),
            ("db.example", "other.example", false),
            ("*.example.org", "db.example.org", true),
            ("*.example.org", "a.db.example.org", false),
            ("*.example.org", "example.org", false),
            ("*.example.org", ".example.org", false),
            ("*.org", "example.org", false),
            ("*", "db", false),
            ("d*.example.org", "db.example.org", false),
            ("127.0.0.1", "127.0.0.1", true),
        ] {
            assert_eq!(is_name_of(name, host), expected, "{name} {host}");
        }
    }
}
