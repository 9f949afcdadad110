//! Buckets of S3, MinIO and whatever speaks their language.

mod bucket;
mod client;
mod health;
mod listing;
mod objects;
mod reading;
mod states;
mod writing;

pub use self::bucket::{BucketPlace, Server};
pub use self::client::{Credentials, Endpoint};
pub use self::objects::version_of;
pub use self::states::{StateSource, Watched};
pub use self::writing::Objects;
