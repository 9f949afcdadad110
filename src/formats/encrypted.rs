//! Files that are encrypted: by which program, as their first bytes say. Whether they are whole only who has the key can
//! tell.

use super::openpgp;

/// Bytes of the beginning that tell.
pub const LOOK_AT: usize = openpgp::LOOK_AT;

/// The first bytes of encrypted files.
const MARKS: [(&[u8], &str); 14] = [
    (b"Salted__", "OpenSSL"),
    (b"U2FsdGVkX1", "OpenSSL"),
    (b"age-encryption.org/", "age"),
    (b"-----BEGIN AGE ENCRYPTED FILE-----", "age"),
    (b"-----BEGIN PGP MESSAGE-----", "OpenPGP"),
    (b"-----BEGIN PKCS7-----", "S/MIME"),
    (b"-----BEGIN CMS-----", "S/MIME"),
    (b"LUKS\xba\xbe", "LUKS"),
    (b"SKUL\xba\xbe", "LUKS"),
    (b"scrypt\0", "scrypt"),
    (b"AES\x02", "AES Crypt"),
    (b"AES\x03", "AES Crypt"),
    (b"$ANSIBLE_VAULT;", "Ansible Vault"),
    (b"c051", "ccrypt"),
];

/// What says in ASN.1 that data is enveloped for a recipient: 1.2.840.113549.1.7.3.
const ENVELOPED: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03";

/// The endings of names that promise encryption.
const ENDINGS: [&str; 11] = ["gpg", "pgp", "asc", "age", "enc", "aes", "ssl", "p7m", "cpt", "scrypt", "luks"];

/// By which program a file is encrypted.
pub fn by(head: &[u8]) -> Option<&'static str> {
    let marked = MARKS.iter().find(|(mark, _)| head.starts_with(mark)).map(|(_, name)| *name);
    let enveloped = || {
        let is = head.first() == Some(&0x30) && head.get(..32)?.windows(ENVELOPED.len()).any(|it| it == ENVELOPED);
        is.then_some("S/MIME")
    };
    marked.or_else(enveloped).or_else(|| openpgp::begins(head).then_some("OpenPGP"))
}

/// Whether the ending of a name promises encryption.
pub fn is_promised_by(ending: &str) -> bool {
    ENDINGS.contains(&ending)
}

/// Whether a file is encrypted and its parts can be followed without the key.
pub fn has_parts(head: &[u8]) -> bool {
    openpgp::begins(head)
}
