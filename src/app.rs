//! The one place that joins rooms: builds them from the settings, runs them, ends them in order.

use crate::config::Config;

/// Why the proxy could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A port was taken, or something else needed at start was not there.
    #[error("{0}")]
    Unavailable(String),
    /// The proxy's own fault.
    #[error("{0}")]
    Internal(String),
}

impl AppError {
    /// The exit status it stands for: 69 for what was not available, 70 for an internal error.
    pub fn exit_status(&self) -> u8 {
        match self {
            AppError::Unavailable(_) => 69,
            AppError::Internal(_) => 70,
        }
    }
}

/// Runs the proxy until it is told to end.
pub fn serve(config: Config) -> Result<(), AppError> {
    drop(config);
    Err(AppError::Internal(
        "the rooms are not joined yet".to_owned(),
    ))
}
