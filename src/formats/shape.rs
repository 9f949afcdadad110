//! What a file should be by its name, and how it is compressed by its first bytes.

use super::{bzip2, encrypted, gzip, lzop, vmdk, zstd};

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// Not at all.
    Plain,
    /// zstd.
    Zstd,
    /// gzip.
    Gzip,
    /// lzop.
    Lzop,
    /// bzip2.
    Bzip2,
    /// By something that isn't decoded here.
    Opaque(&'static str),
    /// Not only compressed: encrypted, by this program.
    Encrypted(&'static str),
}

impl Container {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "none",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Lzop => "lzop",
            Self::Bzip2 => "bzip2",
            Self::Opaque(name) | Self::Encrypted(name) => name,
        }
    }

    /// Whether it is decompressed here.
    pub const fn decodes(self) -> bool {
        matches!(self, Self::Zstd | Self::Gzip | Self::Lzop | Self::Bzip2)
    }

    /// Whether content that begins so is that of this container, and not by chance: the marks of some are short.
    pub(super) fn is_surely(self, head: &[u8]) -> bool {
        match self {
            Self::Plain => false,
            Self::Gzip => head.get(2) == Some(&8) && head.get(3).is_some_and(|flags| flags & 0xe0 == 0),
            Self::Bzip2 => head.get(3).is_some_and(u8::is_ascii_digit) && head.get(4..7) == Some(b"1AY"),
            _ => true,
        }
    }

    /// By the first bytes of a file.
    pub fn of_content(head: &[u8]) -> Self {
        const OPAQUE: [(&[u8], &str); 4] = [
            (b"\xfd7zXZ\0", "xz"),
            (b"\x04\x22\x4d\x18", "lz4"),
            (b"PK\x03\x04", "zip"),
            (b"7z\xbc\xaf\x27\x1c", "7z"),
        ];
        match head {
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ if head.starts_with(&zstd::MAGIC) => Self::Zstd,
            _ if head.starts_with(&gzip::MAGIC) => Self::Gzip,
            _ if head.starts_with(&lzop::MAGIC) => Self::Lzop,
            _ if head.starts_with(&bzip2::MAGIC) => Self::Bzip2,
            _ => OPAQUE
                .iter()
                .find(|(magic, _)| head.starts_with(magic))
                .map(|(_, name)| Self::Opaque(name))
                .or_else(|| encrypted::by(head).map(Self::Encrypted))
                .unwrap_or(Self::Plain),
        }
    }
}

/// What is inside the compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Structure {
    /// A virtual machine.
    Vma,
    /// Files; of a container of Proxmox VE, or others.
    Tar {
        /// It must hold the configuration of a container.
        container: bool,
    },
    /// A dump of a database, or anything else.
    Dump,
    /// A state of Terraform.
    State,
    /// A virtual disk of VMware.
    Vmdk {
        /// It is nothing but the bytes of the disk.
        raw: bool,
    },
    /// A virtual machine with its disks, in one archive.
    Ova,
    /// The description of a virtual machine.
    Ovf,
}

/// What a file should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Its compression; `None` where the name leaves it open.
    pub container: Option<Container>,
    /// What is inside.
    pub structure: Structure,
    /// Whether the name promises the dump of a database.
    pub dump: bool,
}

impl Shape {
    /// By the name of a file.
    pub fn of_name(path: &str) -> Self {
        let name = &*path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
        let guest = name.starts_with("vzdump-lxc-") || name.starts_with("vzdump-openvz-");
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        let (container, inner) = match ending {
            "zst" => (Some(Container::Zstd), stem),
            "gz" => (Some(Container::Gzip), stem),
            "lzo" => (Some(Container::Lzop), stem),
            "bz2" => (Some(Container::Bzip2), stem),
            "tgz" => (Some(Container::Gzip), "x.tar"),
            "tzst" => (Some(Container::Zstd), "x.tar"),
            "tbz2" => (Some(Container::Bzip2), "x.tar"),
            _ => (None, name),
        };
        let plain = container.or(Some(Container::Plain));
        match inner.rsplit_once('.').map(|(_, ending)| ending) {
            Some("vma") => Self { container: plain, structure: Structure::Vma, dump: false },
            Some("vmdk") => {
                let structure = Structure::Vmdk { raw: vmdk::is_raw_name(inner) };
                Self { container: plain, structure, dump: false }
            }
            Some("ova") => Self { container: plain, structure: Structure::Ova, dump: false },
            Some("ovf") => Self { container: plain, structure: Structure::Ovf, dump: false },
            Some("tfstate") => Self { container: plain, structure: Structure::State, dump: false },
            Some("tar") => Self { container: plain, structure: Structure::Tar { container: guest }, dump: false },
            _ => Self { container, structure: Structure::Dump, dump: promises_dump(name) },
        }
    }

    /// Whether a restore by Proxmox VE would read it.
    pub(super) fn is_of_guest(self) -> bool {
        matches!(self.structure, Structure::Vma | Structure::Tar { container: true })
    }
}

/// Whether one of the endings of a name is that of dumps, and none says that it is encrypted.
fn promises_dump(name: &str) -> bool {
    const DUMPS: [&str; 9] = ["sql", "mysql", "pgsql", "psql", "dump", "pgdump", "pg_dump", "sqlite", "sqlite3"];
    let mut endings = name.split('.').skip(1).map(str::trim_ascii);
    let encrypted = endings.clone().any(encrypted::is_promised_by);
    !encrypted && endings.any(|ending| DUMPS.contains(&ending))
}
