//! Tells which addresses were bound: one log line each, and the ports file.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::AppError;
use crate::config::Config;

pub(super) fn announce(
    config: &Config,
    listeners: &[(Arc<str>, SocketAddr)],
    admin: Option<SocketAddr>,
) -> Result<(), AppError> {
    for ((name, address), listener) in listeners.iter().zip(&config.listeners) {
        let upstream = &listener.upstream.address;
        tracing::info!("listener {name} on {address} leads to {upstream}");
    }
    if let Some(address) = admin {
        tracing::info!(
            "page and admin on http://{address}/ (also /metrics, /api/v1, /healthz, /readyz)"
        );
    }
    let Some(path) = &config.ports_file else {
        return Ok(());
    };
    let mut text = String::new();
    for (name, address) in listeners {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "listener.{name}={address}");
    }
    if let Some(address) = admin {
        let _ = writeln!(text, "admin={address}");
    }
    write_whole(path, &text).map_err(|source| AppError::PortsFile {
        path: path.clone(),
        source,
    })
}

/// Whoever waits for the file sees all of it or nothing.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}
