//! Objects of a server for commands that change them.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use futures_util::future::BoxFuture;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::client::{Endpoint, client, words};
use crate::domain::printable::shown;
use crate::domain::state::LARGEST;
use crate::engine::ports::state_store::{Content, Current, Over, Place, StateFault, StateStore};

/// What stands for itself in the source of a copy.
const IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Objects of one server.
pub struct Objects {
    client: Client,
}

impl Objects {
    /// Connects nowhere yet.
    pub fn new(endpoint: &Endpoint) -> anyhow::Result<Self> {
        Ok(Self { client: client(endpoint)? })
    }
}

/// Whether it says that there is no such object.
fn is_gone<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    // An answer to HEAD has no code. A delete marker by its version: AWS and MinIO say 405, others 404.
    matches!(error.code(), Some("NoSuchKey" | "NoSuchVersion" | "NotFound" | "MethodNotAllowed"))
        || matches!(error, SdkError::ServiceError(answer) if answer.raw().status().as_u16() == 404)
            && error.code() != Some("NoSuchBucket")
}

fn fault<E: ProvideErrorMetadata + std::error::Error + 'static>(doing: &str, error: &SdkError<E>) -> StateFault {
    let changed = matches!(error.code(), Some("PreconditionFailed" | "ConditionalRequestConflict"))
        || matches!(error, SdkError::ServiceError(answer) if matches!(answer.raw().status().as_u16(), 409 | 412));
    match changed {
        true => StateFault::Changed(format!("{doing}: it was changed meanwhile")),
        false if error.code() == Some("AccessDenied") => {
            let needs = "the key needs s3:PutObject, s3:DeleteObject and s3:GetObject for this";
            StateFault::Failed(format!("{doing}: AccessDenied; {needs}"))
        }
        false if is_away(error) => StateFault::Away(format!("{doing}: {}", words(error))),
        false => StateFault::Failed(format!("{doing}: {}", words(error))),
    }
}

/// Whether it may pass by itself: nobody answers, or says that it can't right now.
fn is_away<E>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(answer) => answer.raw().status().is_server_error(),
        _ => false,
    }
}

fn named(place: &Place) -> String {
    format!("s3://{}/{}", place.bucket, shown(&place.key))
}

fn plain(e_tag: Option<&str>) -> String {
    e_tag.unwrap_or_default().trim_matches('"').to_owned()
}

impl StateStore for Objects {
    fn current<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<Option<Current>, StateFault>> {
        Box::pin(async move {
            match self.client.head_object().bucket(&place.bucket).key(&place.key).send().await {
                Ok(answer) => Ok(Some(Current {
                    version: answer.version_id().map(ToOwned::to_owned),
                    e_tag: plain(answer.e_tag()),
                    size: answer.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                })),
                Err(error) if is_gone(&error) => Ok(None),
                Err(error) => Err(fault(&format!("looking at {}", named(place)), &error)),
            }
        })
    }

    fn read<'a>(&'a self, place: &'a Place, version: Option<&'a str>) -> BoxFuture<'a, Result<Content, StateFault>> {
        Box::pin(async move {
            let doing = format!("reading {}", named(place));
            let request = self.client.get_object().bucket(&place.bucket).key(&place.key);
            let answer = match request.set_version_id(version.map(ToOwned::to_owned)).send().await {
                Ok(answer) => answer,
                Err(error) if is_gone(&error) => return Ok(None),
                Err(error) => return Err(fault(&doing, &error)),
            };
            let size = answer.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
            let current =
                Current { version: answer.version_id().map(ToOwned::to_owned), e_tag: plain(answer.e_tag()), size };
            let (mut body, mut content) = (answer.body, Vec::new());
            while let Some(chunk) = body.next().await {
                let chunk = chunk.map_err(|error| StateFault::Away(format!("{doing}: {error}")))?;
                if (content.len() + chunk.len()) as u64 > LARGEST {
                    return Err(StateFault::Failed(format!("{doing}: it is larger than {} MiB", LARGEST >> 20)));
                }
                content.extend_from_slice(&chunk);
            }
            if content.len() as u64 != size {
                return Err(StateFault::Away(format!("{doing}: {} bytes came of {size}", content.len())));
            }
            Ok(Some((content, current)))
        })
    }

    fn write<'a>(&'a self, place: &'a Place, content: Vec<u8>, over: Over) -> BoxFuture<'a, Result<(), StateFault>> {
        Box::pin(async move {
            let request = self.client.put_object().bucket(&place.bucket).key(&place.key);
            let request = request.content_type("application/json").body(ByteStream::from(content));
            let request = match over {
                Over::Nothing => request.if_none_match("*"),
                Over::ETag(e_tag) => request.if_match(format!("\"{e_tag}\"")),
            };
            let written = request.send().await;
            written.map(drop).map_err(|error| fault(&format!("writing {}", named(place)), &error))
        })
    }

    fn copy<'a>(&'a self, from: &'a Place, e_tag: &'a str, to: &'a Place) -> BoxFuture<'a, Result<(), StateFault>> {
        Box::pin(async move {
            let source = format!("{}/{}", from.bucket, utf8_percent_encode(&from.key, IN_PATHS));
            let request = self.client.copy_object().bucket(&to.bucket).key(&to.key).copy_source(source);
            let copied = request.copy_source_if_match(format!("\"{e_tag}\"")).send().await;
            copied.map(drop).map_err(|error| fault(&format!("copying {} to {}", named(from), named(to)), &error))
        })
    }

    fn remove<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<(), StateFault>> {
        Box::pin(async move {
            match self.client.delete_object().bucket(&place.bucket).key(&place.key).send().await {
                Err(error) if !is_gone(&error) => Err(fault(&format!("removing {}", named(place)), &error)),
                _ => Ok(()),
            }
        })
    }
}
