//! Prometheus, slow-query log, HTTP API: where results leave the process.

pub mod slow_log;
