//! Buckets of S3, MinIO and whatever speaks their language.

mod client;
mod listing;
mod objects;
mod states;

pub use self::client::{Credentials, Endpoint};
pub use self::states::{StateSource, Watched};
