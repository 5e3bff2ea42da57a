//! Where a running proxy is, as typed or in the environment.

use std::path::{Path, PathBuf};

use super::Proxy;
use crate::cli::Failure;
use crate::config::TOKEN_VARIABLE;

/// The flags of every command that asks a running proxy.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// Admin address of the running proxy
    #[arg(
        long,
        value_name = "URL",
        env = "PGPRISM_ADMIN",
        hide_env_values = true,
        default_value = "http://127.0.0.1:9433"
    )]
    admin: String,
    /// File with the admin token, where the proxy wants one
    #[arg(
        long,
        value_name = "FILE",
        env = "PGPRISM_TOKEN_FILE",
        hide_env_values = true
    )]
    token_file: Option<PathBuf>,
}

impl Place {
    /// The proxy there; nothing was asked yet.
    pub(in crate::cli) fn proxy(&self) -> Result<Proxy, Failure> {
        Ok(Proxy::new(&self.admin, token(self.token_file.as_deref())?)?)
    }
}

/// The token of the admin address: of a file, else of the environment.
fn token(file: Option<&Path>) -> Result<Option<String>, Failure> {
    let named = file.filter(|path| !path.as_os_str().is_empty());
    Ok(named.map(read_token).transpose()?.or_else(|| {
        std::env::var(TOKEN_VARIABLE)
            .ok()
            .filter(|token| !token.is_empty())
    }))
}

fn read_token(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::Usage(format!(
            "--token-file: cannot read {}: {error}",
            path.display()
        ))
    })?;
    let token = text.trim();
    match !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(token.to_owned()),
        false => Err(Failure::Usage(format!(
            "--token-file: {} does not hold one line of visible ASCII characters",
            path.display()
        ))),
    }
}
