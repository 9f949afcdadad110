//! ESXi hosts and vCenters, by the SOAP API that both speak (docs/adr/0016): a thin client of our own, and a source over it.
//!
//! ```text
//!   source ──► session ──► client ──► xml
//!      │       login,      one call   a reply within limits
//!      ▼       again
//!   properties ──► inventory ──► EsxiBook
//!   page by page   what each property says
//! ```

mod account;
mod client;
mod failure;
mod inventory;
mod properties;
mod session;
mod source;
mod xml;

pub use self::account::Account;
pub use self::client::Server;
pub use self::source::EstateSource;
