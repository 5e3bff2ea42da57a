//! The files that TLS needs: read and checked with the configuration, so that no client waits for them.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::{ConfigError, Reason};
use super::load::Places;
use super::{Config, Listener, Tls};
use crate::proxy::tls::{
    Acceptor, AcceptorFiles, ClientVerify, Connector, ConnectorFiles, File, FileError, SslMode,
};

impl Config {
    pub(super) fn read_tls(&mut self, places: &Places<'_>) -> Result<(), ConfigError> {
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            let refused = |(key, reason)| places.refuse(key, index, reason);
            listener.acceptor = acceptor(listener).map_err(refused)?;
            listener.connector = connector(listener).map_err(refused)?;
        }
        Ok(())
    }
}

type Refused = (&'static str, Reason);

fn acceptor(listener: &Listener) -> Result<Option<Arc<Acceptor>>, Refused> {
    let word = match listener.tls {
        Tls::Off | Tls::PassThrough => return Ok(None),
        Tls::Allow => "allow",
        Tls::Require => "require",
    };
    let needed = |key, file: &Option<PathBuf>| match file {
        Some(path) => Ok(path.clone()),
        None => Err((key, Reason::TlsNeeds(word))),
    };
    let files = AcceptorFiles {
        certificate: needed("listeners.tls_certificate", &listener.tls_certificate)?,
        key: needed("listeners.tls_key", &listener.tls_key)?,
        client_ca: listener.tls_client_ca.clone(),
        client_verify: listener.tls_client_verify,
        min_version: listener.tls_min_version,
    };
    if files.client_verify != ClientVerify::Off && files.client_ca.is_none() {
        return Err(("listeners.tls_client_ca", Reason::ClientCaMissing));
    }
    match Acceptor::read(&files) {
        Ok(acceptor) => Ok(Some(Arc::new(acceptor))),
        Err(error) => Err(refusal(&error)),
    }
}

fn connector(listener: &Listener) -> Result<Option<Arc<Connector>>, Refused> {
    let upstream = &listener.upstream;
    let Some(host) = upstream.address.host() else {
        // As in libpq: a Unix socket is plaintext, whatever sslmode says.
        return Ok(None);
    };
    if upstream.sslmode == SslMode::Disable {
        return Ok(None);
    }
    if listener.tls == Tls::PassThrough {
        return match upstream.sslmode {
            SslMode::Disable | SslMode::Prefer => Ok(None),
            sslmode => Err((
                "listeners.upstream",
                Reason::PassThroughTls(sslmode.as_str()),
            )),
        };
    }
    let files = ConnectorFiles {
        sslmode: upstream.sslmode,
        host: host.to_owned(),
        roots: upstream.sslrootcert.clone(),
        identity: upstream.sslcert.clone().zip(upstream.sslkey.clone()),
        sni: upstream.sslsni,
    };
    match Connector::read(&files) {
        Ok(connector) => Ok(Some(Arc::new(connector))),
        Err(error) => Err(refusal(&error)),
    }
}

fn refusal(error: &FileError) -> Refused {
    let (key, word) = match error.file() {
        Some(File::Certificate) => ("listeners.tls_certificate", ""),
        Some(File::Key) => ("listeners.tls_key", ""),
        Some(File::ClientCa) => ("listeners.tls_client_ca", ""),
        Some(File::Root) => ("listeners.upstream", "sslrootcert: "),
        Some(File::ClientCertificate) => ("listeners.upstream", "sslcert: "),
        Some(File::ClientKey) => ("listeners.upstream", "sslkey: "),
        None => ("listeners.upstream", ""),
    };
    (key, Reason::TlsFile(format!("{word}{error}")))
}
