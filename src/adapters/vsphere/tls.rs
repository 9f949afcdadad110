//! Whether the certificate of a server is the one that a person saw: hosts make their own, which no authority signs.

use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use crate::domain::thumbprint::Thumbprint;

fn thumbprint_of(certificate: &CertificateDer<'_>) -> Thumbprint {
    Thumbprint(Sha256::digest(certificate).into())
}

/// Trusts one certificate, whoever signed it, whatever name is in it and however old it is.
#[derive(Debug)]
pub(super) struct Pinned {
    trusted: Thumbprint,
    refused: Mutex<Option<Thumbprint>>,
    provider: CryptoProvider,
}

impl Pinned {
    pub(super) fn new(trusted: Thumbprint) -> Arc<Self> {
        Arc::new(Self { trusted, refused: Mutex::default(), provider: ring::default_provider() })
    }

    /// The certificate that was refused last, if one was since this was asked.
    pub(super) fn refused(&self) -> Option<Thumbprint> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What makes connections.
    pub(super) fn config(self: &Arc<Self>) -> Result<ClientConfig, Error> {
        let config = ClientConfig::builder_with_provider(Arc::new(self.provider.clone()));
        let config = config.with_safe_default_protocol_versions()?;
        Ok(config.dangerous().with_custom_certificate_verifier(self.clone()).with_no_client_auth())
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = thumbprint_of(certificate);
        if shown == self.trusted {
            return Ok(ServerCertVerified::assertion());
        }
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        Err(rustls::CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
