//! The startup phase: SSLRequest, GSSENCRequest, CancelRequest, StartupMessage and the login's replies.
