//! Entries at rest: who may read them, and what their bytes mean.
//!
//! # Keys
//!
//! Anyone who holds a credential can find and read its entries; no one else can, and there is no key to hand out. With `‖` for
//! concatenation, `len(x)` for the length of `x` as 4 bytes, big endian, and all text in UTF-8:
//!
//! ```text
//! S      = SHA-256("p21auth store 1" ‖ store salt (16 bytes) ‖ public identity)
//! K      = Argon2id(version 1.3, 19456 KiB, t = 2, p = 1; credential, salt S) → 32 bytes        kdf 1
//!        = the credential itself, when it is a consumer key in the form of a GUID              kdf 2
//! master = HKDF-SHA256-Extract(salt S, len(K) ‖ K ‖ store_key)
//! name   = HKDF-SHA256-Expand(master, "p21auth entry name") → 16 bytes
//! seal   = HKDF-SHA256-Expand(master, "p21auth entry key")  → 32 bytes
//! denial = HKDF-SHA256-Expand(master, "p21auth denial key") → 32 bytes
//! failed = HKDF-SHA256-Expand(master, "p21auth failure key") → 32 bytes
//! ```
//!
//! The public identity is base URL, auth mode, username and header profile, a line feed between them: what is the same on
//! every machine of a fleet. A GUID has 122 random bits, which no one guesses; anything else is stretched, so that each
//! guess at a password from a stolen store costs 19 MiB and some 40 ms.
//!
//! # Entries
//!
//! | Bytes | |
//! |---|---|
//! | 0–3 | `P21S` |
//! | 4 | format version, 1 |
//! | 5 | how the key was made: 1 or 2, as above |
//! | 6–7 | 0 |
//! | 8–15 | when it stops to matter: Unix milliseconds, signed, big endian |
//! | 16–39 | nonce, from the operating system's generator |
//! | 40–end | XChaCha20-Poly1305 of the record under `seal`, `denial` or `failed`, its tag last; bytes 0–15 are associated data |

use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use super::EntryKind;
use crate::error::{Code, Error, Result};
use crate::secret::{Secret, hex};

/// Random bytes that tell one store from another, so that work spent on guessing passwords pays for one store only.
pub type Salt = [u8; 16];

const MAGIC: &[u8; 4] = b"P21S";
const VERSION: u8 = 1;
const HEADER: usize = 16;
const NONCE: usize = 24;
const TAG: usize = 16;

/// 19 MiB and two passes: what OWASP recommends for Argon2id at one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// How the key was made of the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kdf {
    /// Stretched: a password may be weak.
    Argon2id = 1,
    /// As it is: a GUID cannot be guessed.
    Hkdf = 2,
}

/// What the holder of a credential knows about its entries.
pub struct Keys {
    name: String,
    kdf: Kdf,
    seal: Zeroizing<[u8; 32]>,
    denial: Zeroizing<[u8; 32]>,
    failure: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.name)
    }
}

impl Keys {
    /// Derives the keys: some 40 ms and 19 MiB, unless the credential is a GUID.
    ///
    /// # Errors
    ///
    /// `NoMemory` when the system has no 19 MiB left.
    pub fn derive(
        salt: &Salt,
        public_identity: &str,
        credential: &Secret,
        store_key: &Secret,
    ) -> Result<Keys> {
        let salt: [u8; 32] = Sha256::new()
            .chain_update(b"p21auth store 1")
            .chain_update(salt)
            .chain_update(public_identity)
            .finalize()
            .into();
        let credential = credential.expose();
        let kdf = if is_guid(credential) {
            Kdf::Hkdf
        } else {
            Kdf::Argon2id
        };
        let key = match kdf {
            Kdf::Hkdf => Zeroizing::new(credential.as_bytes().to_vec()),
            Kdf::Argon2id => stretch(credential, &salt)?,
        };
        let store_key = store_key.expose().as_bytes();
        let mut input = Zeroizing::new(Vec::with_capacity(4 + key.len() + store_key.len()));
        input.extend_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_be_bytes());
        input.extend_from_slice(&key);
        input.extend_from_slice(store_key);
        let master = Hkdf::<Sha256>::new(Some(&salt), &input);
        let mut name = [0; 16];
        let mut keys = Keys {
            name: String::new(),
            kdf,
            seal: Zeroizing::default(),
            denial: Zeroizing::default(),
            failure: Zeroizing::default(),
        };
        for (info, out) in [
            ("p21auth entry name", name.as_mut_slice()),
            ("p21auth entry key", keys.seal.as_mut_slice()),
            ("p21auth denial key", keys.denial.as_mut_slice()),
            ("p21auth failure key", keys.failure.as_mut_slice()),
        ] {
            master
                .expand(info.as_bytes(), out)
                .map_err(|_| Error::new(Code::Internal, "a key is longer than HKDF allows"))?;
        }
        keys.name = hex(&name);
        Ok(keys)
    }

    /// What the entries are called in the store: 32 hex digits that say nothing about the identity.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn cipher(&self, which: EntryKind) -> XChaCha20Poly1305 {
        let key = match which {
            EntryKind::Token => &self.seal,
            EntryKind::Denial => &self.denial,
            EntryKind::Failure => &self.failure,
        };
        XChaCha20Poly1305::new((&**key).into())
    }

    /// Seals a record that stops to matter at `expiry_ms`, Unix milliseconds.
    ///
    /// # Errors
    ///
    /// `Internal` when the operating system has no random bytes.
    pub fn seal(&self, which: EntryKind, expiry_ms: i64, record: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| {
            Error::new(
                Code::Internal,
                "the operating system returns no random bytes",
            )
        })?;
        self.seal_with(which, expiry_ms, record, nonce)
    }

    fn seal_with(
        &self,
        which: EntryKind,
        expiry_ms: i64,
        record: &[u8],
        nonce: [u8; NONCE],
    ) -> Result<Vec<u8>> {
        let mut entry = Vec::with_capacity(HEADER + NONCE + record.len() + TAG);
        entry.extend_from_slice(MAGIC);
        entry.extend_from_slice(&[VERSION, self.kdf as u8, 0, 0]);
        entry.extend_from_slice(&expiry_ms.to_be_bytes());
        entry.extend_from_slice(&nonce);
        entry.extend_from_slice(record);
        let (header, rest) = entry.split_at_mut(HEADER);
        let tag = self
            .cipher(which)
            .encrypt_inout_detached(&XNonce::from(nonce), header, (&mut rest[NONCE..]).into())
            .map_err(|_| Error::new(Code::Internal, "a record is too large to be sealed"))?;
        entry.extend_from_slice(&tag);
        Ok(entry)
    }

    /// The record in an entry; `None` for anything that these keys did not seal: corrupt, cut off, foreign, of another version.
    #[must_use]
    pub fn unseal(&self, which: EntryKind, entry: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if header(entry)?.kdf != self.kdf as u8 {
            return None;
        }
        let (header, rest) = entry.split_at(HEADER);
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
        let (body, tag) = sealed.split_last_chunk::<TAG>()?;
        let mut record = Zeroizing::new(body.to_vec());
        self.cipher(which)
            .decrypt_inout_detached(
                &XNonce::from(*nonce),
                header,
                record.as_mut_slice().into(),
                tag.into(),
            )
            .ok()?;
        Some(record)
    }
}

/// What anyone may read of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How the key was made.
    pub kdf: u8,
    /// When it stops to matter, Unix milliseconds by the clock of the machine that wrote it.
    pub expiry_ms: i64,
}

impl Header {
    /// Whether the credential may be a password, so that it was stretched.
    #[must_use]
    pub fn is_stretched(self) -> bool {
        self.kdf == Kdf::Argon2id as u8
    }
}

/// The clear part of an entry of this version, no matter who sealed it.
#[must_use]
pub fn header(entry: &[u8]) -> Option<Header> {
    let (clear, _) = entry.split_first_chunk::<HEADER>()?;
    let [m0, m1, m2, m3, version, kdf, 0, 0, expiry @ ..] = clear else {
        return None;
    };
    let known = [*m0, *m1, *m2, *m3] == *MAGIC && *version == VERSION;
    known.then(|| Header {
        kdf: *kdf,
        expiry_ms: i64::from_be_bytes(*expiry),
    })
}

/// Whether the time of an entry of this version was over at `before`, Unix milliseconds.
#[must_use]
pub fn is_over(entry: &[u8], before: i64) -> bool {
    header(entry).is_some_and(|header| header.expiry_ms <= before)
}

/// Argon2id in memory of its own, wiped afterward.
fn stretch(credential: &str, salt: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let fault = |error| Error::new(Code::Internal, format!("Argon2: {error}"));
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(32)).map_err(fault)?;
    let mut blocks: Vec<Block> = Vec::new();
    blocks
        .try_reserve_exact(params.block_count())
        .map_err(|_| {
            Error::new(
                Code::NoMemory,
                "there are not 19 MiB of memory left to derive the store's key",
            )
        })?;
    blocks.resize(params.block_count(), Block::default());
    let mut key = Zeroizing::new(vec![0; 32]);
    let done = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(credential.as_bytes(), salt, &mut key, &mut blocks);
    blocks.iter_mut().for_each(Block::zeroize);
    done.map_err(fault)?;
    Ok(key)
}

/// Whether a credential is random enough that no one guesses it from a stolen store.
#[must_use]
pub(crate) fn is_random(credential: &Secret) -> bool {
    is_guid(credential.expose())
}

/// Whether `text` is a GUID in its usual form: 8-4-4-4-12 hex digits.
fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups
            .iter()
            .all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SALT: Salt = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    const IDENTITY: &str = "https://p21.example.com\nv2_password\nuser\nclient_secret";
    const GUID: &str = "00000000-0000-4000-8000-00000000000A";
    const EXPIRY: i64 = 1_800_000_000_000;

    fn keys(credential: &str, store_key: &str) -> Keys {
        Keys::derive(
            &SALT,
            IDENTITY,
            &Secret::new(credential),
            &Secret::new(store_key),
        )
        .expect("keys")
    }

    /// Name, token entry and denial entry, as argon2-cffi, `PyNaCl` and Python's hmac have them.
    const KNOWN: [(&str, &str, [&str; 3]); 3] = [
        (
            "pässword",
            "",
            [
                "47b68b07473c2f78872936397662dc84",
                "5032315301010000000001a3185c5000000102030405060708090a0b0c0d0e0f101112131415161730187f0be9c550aa3619000dcc919834c25bd2c08e6d5a56",
                "5032315301010000000001a3185c5000000102030405060708090a0b0c0d0e0f101112131415161776c875f756c78e899a257444b456f95cfae55c1bca176112",
            ],
        ),
        (
            "pässword",
            "store key",
            [
                "89ccdaeb3840c2ee73459c0c292988a7",
                "5032315301010000000001a3185c5000000102030405060708090a0b0c0d0e0f101112131415161750dbdbc42e89be90aafedc829864c756a6bdcc2b24d79bed",
                "5032315301010000000001a3185c5000000102030405060708090a0b0c0d0e0f1011121314151617f45259b7962e9ff50a46cc7649e06b8347c8cdd5f7215839",
            ],
        ),
        (
            GUID,
            "",
            [
                "b9314d65a608ec8132c1c6905bd01246",
                "5032315301020000000001a3185c5000000102030405060708090a0b0c0d0e0f101112131415161720612457769d361d78177f33c39ea03c3c5923b5bac930bf",
                "5032315301020000000001a3185c5000000102030405060708090a0b0c0d0e0f10111213141516178009721f2f293ddd77621d426161e9b7ab6d4e2c0ea55cbe",
            ],
        ),
    ];

    #[test]
    fn names_and_entries_are_those_that_other_implementations_make() {
        for (credential, store_key, [name, token, denial]) in KNOWN {
            let keys = keys(credential, store_key);
            assert_eq!(keys.name(), name);
            for (which, known) in [(EntryKind::Token, token), (EntryKind::Denial, denial)] {
                let nonce = std::array::from_fn(|at| u8::try_from(at).expect("small"));
                let entry = keys
                    .seal_with(which, EXPIRY, b"a record", nonce)
                    .expect("sealed");
                assert_eq!(hex(&entry), known, "{credential} {store_key} {which:?}");
                assert_eq!(*keys.unseal(which, &entry).expect("opens"), b"a record");
                assert_eq!(header(&entry).expect("ours").expiry_ms, EXPIRY);
            }
        }
    }

    #[test]
    fn only_the_same_credential_opens_an_entry() {
        let ours = keys(GUID, "");
        let entry = ours
            .seal(EntryKind::Token, EXPIRY, b"a record")
            .expect("sealed");
        assert!(ours.unseal(EntryKind::Token, &entry).is_some());
        assert!(
            ours.unseal(EntryKind::Denial, &entry).is_none(),
            "another key"
        );
        assert_ne!(
            entry,
            ours.seal(EntryKind::Token, EXPIRY, b"a record")
                .expect("sealed")
        );
        let other = |salt: &Salt, identity, credential: &str, store_key: &str| {
            Keys::derive(
                salt,
                identity,
                &Secret::new(credential),
                &Secret::new(store_key),
            )
            .expect("keys")
        };
        for stranger in [
            other(&[0; 16], IDENTITY, GUID, ""),
            other(
                &SALT,
                "https://play.example.com\nv2_password\nuser\nclient_secret",
                GUID,
                "",
            ),
            other(&SALT, IDENTITY, "00000000-0000-4000-8000-00000000000B", ""),
            other(&SALT, IDENTITY, GUID, "store key"),
            other(&SALT, IDENTITY, "password", ""),
        ] {
            assert_ne!(stranger.name(), ours.name());
            assert!(stranger.unseal(EntryKind::Token, &entry).is_none());
        }
    }

    #[test]
    fn anything_that_is_changed_or_cut_off_does_not_open() {
        let keys = keys(GUID, "");
        let entry = keys
            .seal(EntryKind::Token, EXPIRY, b"a record")
            .expect("sealed");
        for at in 0..entry.len() {
            let mut changed = entry.clone();
            changed[at] ^= 0x10;
            assert!(
                keys.unseal(EntryKind::Token, &changed).is_none(),
                "byte {at}"
            );
            assert!(
                keys.unseal(EntryKind::Token, &entry[..at]).is_none(),
                "{at} bytes"
            );
        }
    }

    #[test]
    fn only_guids_go_unstretched() {
        for (text, guid) in [
            (GUID, true),
            ("0a1b2c3d-4E5F-6789-abcd-ef0123456789", true),
            ("0a1b2c3d4E5F6789abcdef0123456789", false),
            ("{0a1b2c3d-4E5F-6789-abcd-ef0123456789}", false),
            ("0a1b2c3d-4E5F-6789-abcd-ef012345678g", false),
            ("----", false),
            ("", false),
        ] {
            assert_eq!(is_guid(text), guid, "{text}");
        }
    }

    #[test]
    fn keys_show_nothing_but_a_name() {
        let keys = keys(GUID, "planted-store-key");
        assert_eq!(format!("{keys:?}"), format!("Keys({})", keys.name()));
    }

    proptest! {
        #[test]
        fn anything_that_is_sealed_opens(record in proptest::collection::vec(any::<u8>(), 0..2_000), expiry in any::<i64>()) {
            let keys = keys(GUID, "");
            let entry = keys.seal(EntryKind::Denial, expiry, &record).expect("sealed");
            prop_assert_eq!(&**keys.unseal(EntryKind::Denial, &entry).expect("opens"), &record[..]);
            prop_assert_eq!(header(&entry).expect("ours").expiry_ms, expiry);
        }
    }
}
