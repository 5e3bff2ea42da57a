//! SIGHUP: the configuration is read again and taken whole, or refused whole.

use std::sync::Arc;

use super::{Running, set_slow_threshold, settings};
use crate::config::{Changes, Config, ReloadError};

impl Running {
    pub(super) fn reload(&mut self) {
        // Log rotation asks for a new file by the same signal, whatever becomes of the configuration.
        self.slow_log.reopen();
        match self.read_again() {
            Ok((config, changes)) if changes.keys.is_empty() => {
                self.config = config;
                tracing::info!("configuration read again; nothing changed");
            }
            Ok((config, changes)) => self.take(config, &changes),
            Err(error) => {
                tracing::error!("configuration not read again, the old one stays: {error}");
            }
        }
    }

    fn read_again(&self) -> Result<(Config, Changes), ReloadError> {
        let config = self.config.reread()?;
        let changes = self.config.reload(&config)?;
        Ok((config, changes))
    }

    fn take(&mut self, config: Config, changes: &Changes) {
        let connections_max = settings::connections_max(&config);
        if let Err(error) = self
            .proxy
            .reload(&settings::proxy(&config, connections_max))
        {
            tracing::error!("configuration not read again, the old one stays: {error}");
            return;
        }
        self.connections_max = connections_max;
        self.shared
            .session
            .store(Arc::new(settings::session(&config)));
        set_slow_threshold(&self.shared, &self.store, settings::slow_threshold(&config));
        self.feed.set_ignore_rules(settings::ignore_rules(&config));
        self.slow_log
            .change(settings::slow_log(&config, &self.faults));
        self.guide.set_models(Arc::clone(&config.advise.map));
        if let Some(access) = &self.access {
            let (hosts, token) = settings::access(&config);
            access.change(hosts, token);
        }
        tracing::info!(
            "configuration read again; changed: {}",
            changes.keys.join(", ")
        );
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        self.config = config;
    }
}
