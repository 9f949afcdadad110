//! What a token may. Proxmox VE answers 200 and an empty list where a privilege is missing: nobody would notice.

use serde_json::Value;

use crate::domain::look::{ErrorKind, LookError};
use crate::domain::printable::printable;

/// The privileges of a token by path, as `access/permissions` tells them.
pub(super) enum Rights {
    /// Who wrote the answers was root.
    All,
    /// Those of a token.
    Of(Value),
}

impl Rights {
    /// Says which privilege is missing where, if one is.
    pub(super) fn need(&self, path: &str, privilege: &str, what: &str) -> Result<(), LookError> {
        if self.has(path, privilege) {
            return Ok(());
        }
        let text = format!(
            "the token may not see {what}: it lacks {privilege} on {path}, and Proxmox VE answers with an empty list instead of an error (docs/proxmox.md)"
        );
        Err(LookError::new(ErrorKind::PermissionDenied, text))
    }

    /// Says what is kept from a token that may see all the rest: something below a path, where less was granted.
    pub(super) fn need_below(&self, path: &str, privilege: &str) -> Result<(), LookError> {
        let Self::Of(told) = self else { return Ok(()) };
        let below = format!("{path}/");
        let paths = told.as_object().into_iter().flat_map(|told| told.keys());
        match paths.filter(|it| it.starts_with(&below)).find(|it| !self.has(it, privilege)) {
            None => Ok(()),
            Some(hidden) => self.need(&printable(hidden.as_bytes()), privilege, "everything"),
        }
    }

    /// Whether the backups of a storage are listed (pve-storage `check_volume_access`).
    pub(super) fn need_backups(&self, storage: &str) -> Result<(), LookError> {
        let path = format!("/storage/{storage}");
        if self.has(&path, "Datastore.Allocate") {
            return Ok(());
        }
        let what = format!("the backups on {storage}");
        self.need(&path, "Datastore.AllocateSpace", &what)?;
        self.need("/vms", "VM.Backup", &what)
    }

    /// The nearest path that is told of counts; one above counts for what it passes on.
    pub(super) fn has(&self, path: &str, privilege: &str) -> bool {
        let Self::Of(told) = self else { return true };
        let mut at = path;
        loop {
            if let Some(privileges) = told.get(at).and_then(Value::as_object) {
                let passed_on = privileges.get(privilege).is_some_and(|it| at == path || it.as_i64() == Some(1));
                return passed_on;
            }
            match at.rfind('/') {
                Some(0) if at != "/" => at = "/",
                Some(end) if end > 0 => at = &at[..end],
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_path_counts() {
        let told = serde_json::json!({
            "/": {"Sys.Audit": 1, "Pool.Audit": 0},
            "/vms": {"VM.Audit": 1},
            "/storage/nas": {"Datastore.AllocateSpace": 0},
        });
        let rights = Rights::Of(told);
        for (path, privilege, expected) in [
            ("/", "Sys.Audit", true),
            ("/", "Pool.Audit", true),
            ("/nodes/pve1", "Sys.Audit", true),
            ("/nodes/pve1", "Pool.Audit", false),
            ("/vms", "VM.Audit", true),
            ("/vms/100", "VM.Audit", true),
            ("/vms", "Sys.Audit", false),
            ("/storage/nas", "Datastore.AllocateSpace", true),
            ("/storage/pbs", "Datastore.AllocateSpace", false),
        ] {
            assert_eq!(rights.has(path, privilege), expected, "{privilege} on {path}");
        }
        let missing = rights.need_backups("nas").unwrap_err();
        assert!(
            missing.kind == ErrorKind::PermissionDenied && missing.message.contains("VM.Backup on /vms"),
            "{missing}"
        );
        let hidden = rights.need_below("/storage", "Datastore.Audit").unwrap_err();
        assert!(hidden.message.contains("Datastore.Audit on /storage/nas"), "{hidden}");
        assert!(
            rights.need_below("/vms", "VM.Audit").is_ok()
                && rights.need_below("/storage", "Datastore.AllocateSpace").is_ok()
        );
        assert!(Rights::All.need_backups("nas").is_ok());
        assert!(!Rights::Of(Value::Null).has("/vms/100", "VM.Audit"));
    }
}
