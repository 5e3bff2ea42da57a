//! Prometheus, slow-query log, HTTP API: where results leave the process.

pub mod http;
pub mod metrics;
pub mod slow_log;

mod news;
mod words;
