//! pgprism is a transparent PostgreSQL wire-protocol profiling proxy for Django teams.
//!
//! ```text
//!  client ═══► listener ─► newcomer ───► relay ════════════════════════════════════► upstream
//!  (Django)                               ║  one step moves both directions; it writes first and looks afterwards
//!                                         ╚═ Tap (bytes, time) ═► observer: wire ─► session ─► sql
//!                                                                     │                 │
//!                                 exact deltas, at the worker         │ small events into a bounded ring
//!                                                                     ▼                 ▼
//!                                                              aggregate (one store)  analysis (one thread, ticks)
//!                                                                     │                 │
//!                              /metrics, slow log, /api ◄── export ◄──┴─ Snapshot ◄─────┘
//! ```
//!
//! The modules below are rooms, listed in the order in which data passes them.
//! A room imports only rooms above it; `tests/architecture.rs` enforces that.

pub mod wire;
pub mod sql;
pub mod event;
pub mod fault;
pub mod bell;
pub mod cache;
pub mod hashes;
pub mod session;
pub mod aggregate;
pub mod unit;
pub mod detect;
pub mod advise;
pub mod catalog;
pub mod analysis;
pub mod clock;
pub mod observer;
pub mod registry;
pub mod export;
pub mod proxy;
pub mod config;
pub mod cli;
pub mod app;
