//! What encrypts connections to others.

/// Everything that speaks TLS to others uses this provider from now on. Again and again is fine.
pub fn install() {
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
}
