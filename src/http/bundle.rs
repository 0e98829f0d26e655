//! Certificates of authorities from files: those of `ca_file`, and on Linux and its like those of the system. They are read
//! on a thread of the library, once for all who trust them, and again when time, size or inode of a file changed.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

use crate::error::{Code, Error};
use crate::fork::Guarded;
use crate::log::{self, Level};
use crate::sources::{self, Jobs, Trouble};

/// Largest bundle, and all files of a folder together.
const CAP: usize = 16 << 20;

/// Files of a folder that are looked at.
const MOST_FILES: usize = 10_000;

/// Where certificates are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The file that `ca_file` names.
    File(PathBuf),
    /// The first of some files that exists, and folders.
    #[cfg_attr(
        any(windows, target_vendor = "apple", target_os = "android"),
        allow(dead_code, reason = "these systems have a store of their own")
    )]
    System {
        files: Vec<PathBuf>,
        folders: Vec<PathBuf>,
        /// By `SSL_CERT_FILE` and `SSL_CERT_DIR`.
        is_named: bool,
    },
}

/// What was read there.
#[derive(Debug)]
pub(super) struct Bundle {
    digest: [u8; 32],
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

/// Why nothing could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    Unread(Trouble),
    /// What is wrong with the content.
    Content(String),
}

/// What a change of a file changes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    size: u64,
    modified: Option<SystemTime>,
    inode: [u64; 4],
}

struct Known {
    place: Place,
    /// Those of its files when they were read; `None`: they are to be read no matter what their stamps.
    stamps: Option<Vec<Stamp>>,
    bundle: Arc<Bundle>,
}

static READING: Jobs<Result<Arc<Bundle>, Unusable>> = Jobs::new();

static KNOWN: Guarded<Vec<Known>> = Guarded::new_static(Vec::new());

/// The certificates at `place` as they are now. `again`: reads them although no stamp has changed. What is the same as
/// before is the same bundle.
///
/// # Errors
///
/// [`Unusable`]; the system's never, unless they do not come in time.
pub(super) fn load(place: &Place, again: bool, deadline: Instant) -> Result<Arc<Bundle>, Unusable> {
    if again {
        KNOWN.with(|known| {
            if let Some(known) = known.iter_mut().find(|known| known.place == *place) {
                known.stamps = None;
            }
        });
    }
    let limit = deadline.saturating_duration_since(Instant::now());
    let at = place.clone();
    READING
        .run(format!("{place:?}").as_ref(), deadline, move |until| {
            refresh(&at, until)
        })
        .unwrap_or_else(|lost| Err(Unusable::Unread(Trouble::of_job(lost, limit))))
}

/// `None` when no call waits any more.
fn refresh(place: &Place, until: &dyn Fn() -> Instant) -> Option<Result<Arc<Bundle>, Unusable>> {
    // Before the content: a change in between is noticed by the next.
    let stamps = place.stamps();
    let (same, old) = KNOWN.with(|known| {
        let known = known.iter().find(|known| known.place == *place);
        let same = known.is_some_and(|known| known.stamps.as_ref() == Some(&stamps));
        (same, known.map(|known| Arc::clone(&known.bundle)))
    });
    if same && let Some(old) = old {
        return Some(Ok(old));
    }
    let certificates = match place {
        Place::File(path) => match sources::read_here(path, CAP, until)? {
            Err(trouble) => Err(Unusable::Unread(trouble)),
            Ok(content) => authorities(&content.bytes).map_err(Unusable::Content),
        },
        Place::System { folders, .. } => Ok(system(place.file(), folders, until)?),
    };
    let certificates = match certificates {
        Ok(certificates) => certificates,
        Err(unusable) => return Some(Err(unusable)),
    };
    let mut digest = Sha256::new();
    for certificate in &certificates {
        digest.update((certificate.len() as u64).to_le_bytes());
        digest.update(certificate);
    }
    let digest = digest.finalize().into();
    let bundle = match old {
        Some(old) if old.digest == digest => old,
        _ => Arc::new(Bundle {
            digest,
            certificates,
        }),
    };
    KNOWN.with(|known| {
        known.retain(|known| known.place != *place);
        known.push(Known {
            place: place.clone(),
            stamps: Some(stamps),
            bundle: Arc::clone(&bundle),
        });
    });
    Some(Ok(bundle))
}

impl Place {
    /// The one file that is read: one that someone named whether or not it exists.
    fn file(&self) -> Option<&Path> {
        match self {
            Place::File(path) => Some(path),
            Place::System {
                files,
                is_named: true,
                ..
            } => files.first().map(PathBuf::as_path),
            Place::System { files, .. } => files.iter().map(PathBuf::as_path).find(|f| f.exists()),
        }
    }

    /// Those of every file that is read.
    fn stamps(&self) -> Vec<Stamp> {
        let folders = match self {
            Place::File(_) => &[][..],
            Place::System { folders, .. } => folders,
        };
        let mut stamps: Vec<Stamp> = self.file().and_then(stamp).into_iter().collect();
        for path in folders.iter().flat_map(|folder| entries(folder)) {
            stamps.extend(stamp(&path));
        }
        stamps
    }
}

impl Unusable {
    /// The error for the file of `ca_file`, or for the system's.
    pub(super) fn error(&self, place: &Place) -> Error {
        const HINT: &str = "ca_file is a PEM file: base64 text between BEGIN CERTIFICATE and END CERTIFICATE. A DER file (.cer) becomes one by: openssl x509 -inform der -in file.cer -out file.pem";
        let subject = match place {
            Place::File(path) => format!("ca_file: {}", path.display()),
            Place::System {
                files,
                folders,
                is_named: true,
            } => {
                let named = [("SSL_CERT_FILE", files), ("SSL_CERT_DIR", folders)];
                let shown: Vec<_> = named
                    .into_iter()
                    .filter_map(|(name, paths)| {
                        Some(format!("{name}: {}", paths.first()?.display()))
                    })
                    .collect();
                shown.join(" and ")
            }
            Place::System { .. } => "the certificates in /etc/ssl or their like".to_owned(),
        };
        match self {
            Unusable::Unread(trouble) => trouble.error(&subject, HINT),
            Unusable::Content(what) => {
                Error::new(Code::Config, format!("{subject} {what}")).with_hint(HINT)
            }
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let about = fs::metadata(path).ok()?;
    Some(Stamp {
        path: path.to_owned(),
        size: about.len(),
        modified: about.modified().ok(),
        inode: inode(&about),
    })
}

#[cfg(unix)]
fn inode(about: &Metadata) -> [u64; 4] {
    use std::os::unix::fs::MetadataExt as _;
    // The last two move also where someone puts the time of the content back.
    let changed = [about.ctime(), about.ctime_nsec()].map(i64::cast_unsigned);
    [about.dev(), about.ino(), changed[0], changed[1]]
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> [u64; 4] {
    [0; 4]
}

/// The files of a folder, in the same order each time.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.take(MOST_FILES).map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// What the system trusts. What cannot be read or understood is passed over, as every program does; a file that someone
/// named is worth a line in the log. `None` when no call waits any more.
fn system(
    file: Option<&Path>,
    folders: &[PathBuf],
    until: &dyn Fn() -> Instant,
) -> Option<Vec<CertificateDer<'static>>> {
    let mut found: Vec<CertificateDer<'static>> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut left = CAP;
    let paths = folders.iter().flat_map(|folder| entries(folder));
    for path in file.map(Path::to_owned).into_iter().chain(paths) {
        let is_named = file == Some(path.as_path());
        match stamp(&path) {
            // Folders hold several links to each file.
            Some(stamp) if cfg!(unix) && !seen.insert(stamp.inode) => continue,
            Some(_) if !is_named && !path.is_file() => continue,
            None if !is_named => continue,
            _ => {}
        }
        match sources::read_here(&path, left, until)? {
            Ok(content) => {
                left -= content.bytes.len();
                found.extend(CertificateDer::pem_slice_iter(&content.bytes).flatten());
            }
            Err(trouble) if is_named => {
                let error = trouble.error(&path.display().to_string(), "");
                log::record(Level::Warn, "tls.authorities", error.message());
            }
            Err(_) => {}
        }
    }
    found.sort_unstable_by(|a, b| a.cmp(b));
    found.dedup();
    Some(found)
}

/// The certificates in a PEM file, each fit to be an authority, or what is wrong with it.
fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = pem.strip_prefix(b"\xef\xbb\xbf").unwrap_or(pem);
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("is not well-formed PEM: {error}"))?;
    if certificates.is_empty() {
        return Err("contains no certificate".to_owned());
    }
    for (index, certificate) in certificates.iter().enumerate() {
        RootCertStore::empty()
            .add(certificate.clone())
            .map_err(|error| {
                format!(
                    "contains a certificate (number {}) that cannot be used: {error}",
                    index + 1
                )
            })?;
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(content: &[u8]) -> Result<Arc<Bundle>, Error> {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        fs::write(file.path(), content).expect("written");
        load_file(file.path(), false)
    }

    fn load_file(path: &Path, again: bool) -> Result<Arc<Bundle>, Error> {
        let place = Place::File(path.to_owned());
        let soon = Instant::now() + Duration::from_secs(20);
        load(&place, again, soon).map_err(|unusable| unusable.error(&place))
    }

    fn certificate(name: &str) -> rcgen::Certificate {
        rcgen::generate_simple_self_signed([name.to_owned()])
            .expect("certificate")
            .cert
    }

    #[test]
    fn a_ca_file_without_a_certificate_says_so() {
        for (content, says) in [
            (b"".as_slice(), "contains no certificate"),
            (b"\x30\x82\x01\x02", "contains no certificate"),
            (
                b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "number 1",
            ),
            (
                b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
                "not well-formed PEM",
            ),
        ] {
            let error = read(content).expect_err("no certificate");
            assert_eq!(error.code(), Code::Config);
            assert!(error.message().starts_with("ca_file: "), "{error}");
            assert!(error.message().contains(says), "{error}");
            assert!(error.hint().contains("openssl x509"), "{error}");
        }
    }

    #[test]
    fn a_missing_ca_file_is_named() {
        let error = load_file(Path::new("/nonexistent/ca.pem"), false).expect_err("missing");
        assert!(
            error
                .message()
                .contains("/nonexistent/ca.pem cannot be read"),
            "{error}"
        );
    }

    #[test]
    fn a_byte_order_mark_does_not_matter() {
        let certificate = certificate("p21.example");
        let pem = format!("\u{feff}# our CA\n{}", certificate.pem());
        let bundle = read(pem.as_bytes()).expect("read");
        assert_eq!(bundle.certificates, [certificate.der().clone()]);
    }

    #[test]
    fn what_has_not_changed_is_the_same_bundle_and_what_has_is_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ca.pem");
        let (one, other) = (certificate("one").pem(), certificate("two").pem());
        fs::write(&file, &one).expect("written");
        let first = load_file(&file, false).expect("read");
        for again in [false, true] {
            let same = load_file(&file, again).expect("read");
            assert!(Arc::ptr_eq(&first, &same), "{again}");
        }
        // The same certificates in a file of another time.
        fs::write(&file, format!("{one}\n")).expect("written");
        let same = load_file(&file, false).expect("read");
        assert!(Arc::ptr_eq(&first, &same));
        // Written in its place, and renamed over it.
        fs::write(&file, &other).expect("written");
        let second = load_file(&file, false).expect("read");
        assert_ne!(first.certificates, second.certificates);
        let beside = folder.path().join("ca.pem.new");
        fs::write(&beside, &one).expect("written");
        fs::rename(&beside, &file).expect("renamed");
        let third = load_file(&file, false).expect("read");
        assert_eq!(first.certificates, third.certificates);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_of_links_is_read_once_and_its_changes_are_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a.pem"), certificate("a").pem()).expect("written");
        std::os::unix::fs::symlink(at("a.pem"), at("link")).expect("a link");
        std::os::unix::fs::symlink(at("nothing"), at("dangling")).expect("a link");
        fs::write(at("rubbish"), b"\xff\x00").expect("written");
        let place = Place::System {
            files: Vec::new(),
            is_named: true,
            folders: vec![folder.path().to_owned()],
        };
        let count = || {
            let soon = Instant::now() + Duration::from_secs(20);
            let bundle = load(&place, false, soon).expect("read");
            bundle.certificates.len()
        };
        assert_eq!(count(), 1);
        fs::write(at("b.pem"), certificate("b").pem()).expect("written");
        assert_eq!(count(), 2);
        fs::remove_file(at("a.pem")).expect("removed");
        assert_eq!(count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn endless_files_end_at_the_cap() {
        let error = load_file(Path::new("/dev/zero"), false).expect_err("endless");
        assert!(error.message().contains("more than 16 MiB"), "{error}");
        let place = Place::System {
            files: vec!["/dev/zero".into()],
            folders: Vec::new(),
            is_named: true,
        };
        let soon = Instant::now() + Duration::from_secs(20);
        let bundle = load(&place, false, soon).expect("nothing is no error");
        assert!(bundle.certificates.is_empty());
    }
}
