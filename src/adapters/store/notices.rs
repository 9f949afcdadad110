//! Notices.

use sqlx::AnyConnection;

use crate::domain::notice::Notice;

pub(super) async fn post(_connection: &mut AnyConnection, _notices: &[Notice]) -> Result<(), sqlx::Error> {
    Ok(())
}
