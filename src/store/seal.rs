//! Entries at rest: who may read them, and what their bytes mean.
//!
//! # Keys
//!
//! Whoever holds a credential can find and read its entries; nobody else can, and there is no key to hand out. With `‖` for
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
//! ```
//!
//! The public identity is base URL, auth mode, username and header profile, a line feed between them: what is the same on
//! every machine of a fleet. A GUID has 122 random bits, which nobody guesses; anything else is stretched, so that each
//! guess at a password from a stolen store costs 19 MiB and some 20 ms.
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
//! | 40–end | XChaCha20-Poly1305 of the [record](super::record) under `seal` or `denial`, its tag last; bytes 0–15 are associated data |

use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

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

/// Which of the two keys an entry is sealed under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The token's entry.
    Token,
    /// The refusal's entry.
    Denial,
}

/// What the holder of a credential knows about its entries.
pub struct Keys {
    name: String,
    kdf: Kdf,
    seal: Zeroizing<[u8; 32]>,
    denial: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.name)
    }
}

impl Keys {
    /// Derives the keys: some 20 ms and 19 MiB, unless the credential is a GUID.
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
        };
        for (info, out) in [
            ("p21auth entry name", name.as_mut_slice()),
            ("p21auth entry key", keys.seal.as_mut_slice()),
            ("p21auth denial key", keys.denial.as_mut_slice()),
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

    fn cipher(&self, which: Which) -> XChaCha20Poly1305 {
        let key = match which {
            Which::Token => &self.seal,
            Which::Denial => &self.denial,
        };
        XChaCha20Poly1305::new((&**key).into())
    }

    /// Seals a record that stops to matter at `expiry_ms`, Unix milliseconds.
    ///
    /// # Errors
    ///
    /// `Internal` when the operating system has no random bytes.
    pub fn seal(&self, which: Which, expiry_ms: i64, record: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| {
            Error::new(Code::Internal, "the operating system gives no random bytes")
        })?;
        self.seal_with(which, expiry_ms, record, nonce)
    }

    fn seal_with(
        &self,
        which: Which,
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

    /// The record in an entry; `None` for whatever these keys did not seal: corrupt, cut off, foreign, of another version.
    #[must_use]
    pub fn unseal(&self, which: Which, entry: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
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

/// What anybody may read of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How the key was made.
    pub kdf: u8,
    /// When it stops to matter, Unix milliseconds by the clock of the machine that wrote it.
    pub expiry_ms: i64,
}

/// The clear part of an entry of this version, whoever sealed it.
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

/// Argon2id in memory of its own, wiped afterwards.
fn stretch(credential: &str, salt: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let fault = |error| Error::new(Code::Internal, format!("Argon2: {error}"));
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(32)).map_err(fault)?;
    let mut blocks: Vec<Block> = Vec::new();
    blocks
        .try_reserve_exact(params.block_count())
        .map_err(|_| Error::new(Code::NoMemory, "no 19 MiB are left to derive the store's key"))?;
    blocks.resize(params.block_count(), Block::default());
    let mut key = Zeroizing::new(vec![0; 32]);
    let done = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(credential.as_bytes(), salt, &mut key, &mut blocks);
    blocks.iter_mut().for_each(Block::zeroize);
    done.map_err(fault)?;
    Ok(key)
}

/// Whether `text` is a GUID in its usual form: 8-4-4-4-12 hex digits.
fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups
            .iter()
            .all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
