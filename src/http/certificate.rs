//! What a person needs to know of a server's certificate to decide whether to trust it.

use std::fmt;

use der::asn1::{AnyRef, GeneralizedTime, ObjectIdentifier, UtcTime};
use der::{DateTime, Decode as _, Tag, Tagged as _};
use sha2::{Digest as _, Sha256};

use crate::secret::{hex, is_invisible};

/// Longest name shown, in characters: a certificate comes from the server that responded and may hold anything.
const MAX_NAME: usize = 120;

/// Most host names shown.
const MAX_NAMES: usize = 8;

const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");

/// Kinds of `GeneralName`, by their tags.
const DNS_NAME: u32 = 2;
const IP_ADDRESS: u32 = 7;

/// The parts of a name that have a short form; others are shown by their number.
const ATTRIBUTES: [(ObjectIdentifier, &str); 10] = [
    (ObjectIdentifier::new_unwrap("2.5.4.3"), "CN"),
    (ObjectIdentifier::new_unwrap("2.5.4.5"), "serialNumber"),
    (ObjectIdentifier::new_unwrap("2.5.4.6"), "C"),
    (ObjectIdentifier::new_unwrap("2.5.4.7"), "L"),
    (ObjectIdentifier::new_unwrap("2.5.4.8"), "ST"),
    (ObjectIdentifier::new_unwrap("2.5.4.10"), "O"),
    (ObjectIdentifier::new_unwrap("2.5.4.11"), "OU"),
    (
        ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25"),
        "DC",
    ),
    (
        ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.1"),
        "UID",
    ),
    (
        ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1"),
        "Email",
    ),
];

/// The parts of a certificate that go into an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// DNS names and IP addresses that it is for.
    pub names: Vec<String>,
    /// First day, as `2026-01-31`.
    pub not_before: String,
    /// Last day.
    pub not_after: String,
    /// Begin and end of its validity in Unix seconds.
    pub begins_unix: i64,
    pub expires_unix: i64,
    /// The algorithm of its signature, as an object identifier, and the signature's length in bits: for RSA that of the
    /// issuer's key.
    pub signature: (String, usize),
    /// Length of its own key in bits if that is an RSA key, else 0.
    pub rsa_bits: usize,
    /// SHA-256 of its DER in lower-case hex, as `tls_pin_sha256` takes it.
    pub sha256: String,
    /// Issuer and subject are the same.
    pub self_signed: bool,
    /// It says that it is a certificate authority's.
    pub is_authority: bool,
}

impl Certificate {
    /// Reads what can be read; the SHA-256 is always there.
    #[must_use]
    pub(crate) fn read(der: &[u8]) -> Certificate {
        Certificate {
            sha256: hex(&Sha256::digest(der)),
            ..Certificate::parse(der).unwrap_or_default()
        }
    }

    /// All but the SHA-256; `None` if it is no certificate as RFC 5280 lays one out.
    fn parse(der: &[u8]) -> Option<Certificate> {
        let (certificate, _) = AnyRef::from_der_partial(der).ok()?;
        let [body, algorithm, signature] = sequence(certificate)?[..] else {
            return None;
        };
        let body = sequence(body)?;
        // Version 1 is not written out.
        let version = usize::from(is_context(body.first()?, 0));
        let [
            _serial,
            _algorithm,
            issuer,
            validity,
            subject,
            key,
            optional @ ..,
        ] = body.get(version..)?
        else {
            return None;
        };
        let [not_before, not_after] = sequence(*validity)?[..] else {
            return None;
        };
        let (not_before, not_after) = (time(not_before)?, time(not_after)?);
        let mut read = Certificate {
            subject: shown(&name(*subject)?),
            issuer: shown(&name(*issuer)?),
            not_before: day(not_before),
            not_after: day(not_after),
            begins_unix: not_before.unix_duration().as_secs().cast_signed(),
            expires_unix: not_after.unix_duration().as_secs().cast_signed(),
            signature: (
                first_id(algorithm.value()).unwrap_or_default(),
                signature.value().len().saturating_sub(1) * 8,
            ),
            rsa_bits: rsa_bits(*key).unwrap_or(0),
            self_signed: subject == issuer,
            ..Certificate::default()
        };
        if let Some(extensions) = optional.iter().find(|field| is_context(field, 3)) {
            for extension in sequence(AnyRef::from_der(extensions.value()).ok()?)? {
                read.take_extension(extension);
            }
        }
        Some(read)
    }

    /// Reads the extensions that matter here; one that is malformed is passed over.
    fn take_extension(&mut self, extension: AnyRef<'_>) -> Option<()> {
        let fields = sequence(extension)?;
        let id: ObjectIdentifier = fields.first()?.decode_as().ok()?;
        let value = fields.last()?;
        if value.tag() != Tag::OctetString {
            return None;
        }
        let value = sequence(AnyRef::from_der(value.value()).ok()?)?;
        match id {
            SUBJECT_ALT_NAME => self.names = value.into_iter().filter_map(host_name).collect(),
            BASIC_CONSTRAINTS => self.is_authority = value.first()?.decode_as().ok()?,
            _ => {}
        }
        Some(())
    }

    /// Its host names in one list.
    #[must_use]
    pub(crate) fn names_shown(&self) -> String {
        match self.names.len() {
            0 => "no host name".to_owned(),
            count if count > MAX_NAMES => format!(
                "{} and {} more",
                self.names[..MAX_NAMES].join(", "),
                count - MAX_NAMES
            ),
            _ => self.names.join(", "),
        }
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.not_after.is_empty() {
            return write!(f, "unreadable certificate, SHA-256 {}", self.sha256);
        }
        write!(
            f,
            "certificate of \"{}\", issued by \"{}\", for {}, valid from {} to {}, SHA-256 {}",
            self.subject,
            self.issuer,
            self.names_shown(),
            self.not_before,
            self.not_after,
            self.sha256
        )
    }
}

/// The elements that a constructed value consists of.
fn elements(mut bytes: &[u8]) -> Option<Vec<AnyRef<'_>>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (element, rest) = AnyRef::from_der_partial(bytes).ok()?;
        found.push(element);
        bytes = rest;
    }
    Some(found)
}

fn sequence(value: AnyRef<'_>) -> Option<Vec<AnyRef<'_>>> {
    (value.tag() == Tag::Sequence).then(|| elements(value.value()))?
}

/// The object identifier with which an algorithm begins.
pub(super) fn first_id(algorithm: &[u8]) -> Option<String> {
    let (id, _) = AnyRef::from_der_partial(algorithm).ok()?;
    let id: ObjectIdentifier = id.decode_as().ok()?;
    Some(id.to_string())
}

/// Length of the modulus, in bits, of what is an RSA key.
fn rsa_bits(key: AnyRef<'_>) -> Option<usize> {
    let [algorithm, key] = sequence(key)?[..] else {
        return None;
    };
    if first_id(algorithm.value())? != "1.2.840.113549.1.1.1" {
        return None;
    }
    // Before the content of a bit string stands a byte that counts unused bits, before that of an integer perhaps a zero.
    let parts = sequence(AnyRef::from_der(key.value().get(1..)?).ok()?)?;
    let modulus = parts.first()?.value();
    Some(modulus.strip_prefix(&[0]).unwrap_or(modulus).len() * 8)
}

fn is_context(value: &AnyRef<'_>, number: u32) -> bool {
    context_number(*value) == Some(number)
}

fn context_number(value: AnyRef<'_>) -> Option<u32> {
    match value.tag() {
        Tag::ContextSpecific { number, .. } => Some(number.0),
        _ => None,
    }
}

fn time(value: AnyRef<'_>) -> Option<DateTime> {
    if value.tag() == Tag::UtcTime {
        Some(value.decode_as::<UtcTime>().ok()?.to_date_time())
    } else {
        Some(value.decode_as::<GeneralizedTime>().ok()?.to_date_time())
    }
}

fn day(time: DateTime) -> String {
    format!("{:04}-{:02}-{:02}", time.year(), time.month(), time.day())
}

/// A distinguished name in the order in which it is written, such as `C=US, O=Company, CN=Company Root`.
fn name(value: AnyRef<'_>) -> Option<String> {
    let relative = sequence(value)?.into_iter().map(|set| {
        let attributes = elements(set.value())?.into_iter().map(|attribute| {
            let [kind, value] = sequence(attribute)?[..] else {
                return None;
            };
            let kind: ObjectIdentifier = kind.decode_as().ok()?;
            let known = ATTRIBUTES.iter().find(|(id, _)| *id == kind);
            let kind = known.map_or_else(|| kind.to_string(), |(_, short)| (*short).to_owned());
            Some(format!("{kind}={}", attribute_text(value)))
        });
        Some(attributes.collect::<Option<Vec<_>>>()?.join(" + "))
    });
    Some(relative.collect::<Option<Vec<_>>>()?.join(", "))
}

fn attribute_text(value: AnyRef<'_>) -> String {
    match value.tag() {
        Tag::BmpString => {
            let (units, _) = value.value().as_chunks();
            let units = units.iter().map(|unit| u16::from_be_bytes(*unit));
            let chars = char::decode_utf16(units);
            chars
                .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        tag if tag.is_constructed() => hex(value.value()),
        _ => String::from_utf8_lossy(value.value()).into_owned(),
    }
}

fn host_name(name: AnyRef<'_>) -> Option<String> {
    match context_number(name)? {
        DNS_NAME => Some(shown(std::str::from_utf8(name.value()).ok()?)),
        IP_ADDRESS => {
            if let Ok(v4) = <[u8; 4]>::try_from(name.value()) {
                Some(std::net::Ipv4Addr::from(v4).to_string())
            } else {
                let v6 = <[u8; 16]>::try_from(name.value()).ok()?;
                Some(std::net::Ipv6Addr::from(v6).to_string())
            }
        }
        _ => None,
    }
}

fn shown(text: &str) -> String {
    let mut visible = text.chars().filter(|c| !is_invisible(*c));
    let mut short: String = visible.by_ref().take(MAX_NAME).collect();
    if visible.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    /// Made by openssl: 16-bit text, a name without a short form, two attributes in one part, four kinds of host name.
    const FULL: &str = "\
        MIICKjCCAc+gAwIBAgIUfVRWx43DunPBDH30N4I6GzPynx0wCgYIKoZIzj0EAwIw\
        WzELMAkGA1UEBhMCREUxITAfBgNVBAoeGABHAHIA/ADfAGUALAAgAFMA9gBoAG4A\
        ZTEQMA4GA1UEYRMHVkFUREUtMTEXMAkGA1UEBRMCNTUwCgYDVQQDEwNwMjEwIBcN\
        MjYxMTI2MjEwMjIyWhgPMjA2MTAyMTUyMTAyMjJaMFsxCzAJBgNVBAYTAkRFMSEw\
        HwYDVQQKHhgARwByAPwA3wBlACwAIABTAPYAaABuAGUxEDAOBgNVBGETB1ZBVERF\
        LTExFzAJBgNVBAUTAjU1MAoGA1UEAxMDcDIxMFkwEwYHKoZIzj0CAQYIKoZIzj0D\
        AQcDQgAEz0dtBgpave7rhWzFmQehHegbbiVasKew/3eZW0s9MfSEUfb5fbKFg3Ys\
        NHR7GaPhT8fu67xA4SjkG5bLgzR4BaNvMG0wOwYDVR0RBDQwMoILcDIxLmV4YW1w\
        bGWHBMAAAgeHECABDbgAAAAAAAAAAAAAAAeBC2FAYi5leGFtcGxlMA8GA1UdEwEB\
        /wQFMAMBAf8wHQYDVR0OBBYEFKQgm/L0de1cyjGXbU+MB2FF1OIaMAoGCCqGSM49\
        BAMCA0kAMEYCIQDmreFyLMHL5YTm/2m7ogb+PwGN6hQUcTSOUaycU48B+gIhAMik\
        c156Dl0ATMKFyjYQ2sTcb0rFoszFgojlZptaXdr3";

    /// Version 1 has no extensions and does not say its version.
    const VERSION_1: &str = "\
        MIIBFTCBuwIUHGy6/85k7T7htUi6gDv/pePYm7YwCgYIKoZIzj0EAwIwDTELMAkG\
        A1UEAwwCdjEwHhcNMjYxMTI2MjA1NzQxWhcNMjYxMTMwMjA1NzQxWjANMQswCQYD\
        VQQDDAJ2MTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFAxp3vksVN07piafMIP\
        poPnJOS8FriWiOY19vxUFUX3nfTl145sHInTypZRFTg8ikNn4dTK51GcXGJPGXS1\
        bZYwCgYIKoZIzj0EAwIDSQAwRgIhAK2RrM5ORN4L2kT8pJj3WcIHyHDQ6zCL0Fvl\
        arq7sgyxAiEAzcGk391rIh6HH9lQ3S3IJR8GZB9L2JFzFzHVQHtHTTs=";

    fn decoded(text: &str) -> Vec<u8> {
        BASE64_STANDARD.decode(text).expect("base64")
    }

    #[test]
    fn everything_that_matters_is_read() {
        let name = "C=DE, O=Grüße, Söhne, 2.5.4.97=VATDE-1, serialNumber=55 + CN=p21";
        let sha256 = "170db14465df2810b5d298e4a4786cd3c6e5885808ec32da81b96bc1f3a518a2";
        assert_eq!(
            Certificate::read(&decoded(FULL)),
            Certificate {
                subject: name.to_owned(),
                issuer: name.to_owned(),
                names: ["p21.example", "192.0.2.7", "2001:db8::7"]
                    .map(str::to_owned)
                    .into(),
                not_before: "2026-11-26".to_owned(),
                not_after: "2061-02-15".to_owned(),
                begins_unix: 1_795_726_942,
                expires_unix: 2_875_726_942,
                signature: ("1.2.840.10045.4.3.2".to_owned(), 576),
                rsa_bits: 0,
                sha256: sha256.to_owned(),
                self_signed: true,
                is_authority: true,
            }
        );
        let old = Certificate::read(&decoded(VERSION_1));
        assert_eq!(old.subject, "CN=v1");
        assert_eq!(old.not_after, "2026-11-30");
        assert_eq!(old.expires_unix, 1_796_072_261);
        assert!(!old.is_authority && old.names.is_empty(), "{old:?}");
    }

    #[test]
    fn damage_anywhere_is_survived() {
        let whole = decoded(FULL);
        for at in 0..whole.len() {
            let cut = Certificate::read(&whole[..at]);
            assert!(cut.to_string().starts_with("unreadable"), "{at}: {cut}");
            for change in [0x21, 0xff] {
                let mut changed = whole.clone();
                changed[at] ^= change;
                let read = Certificate::read(&changed);
                assert_eq!(read.sha256, hex(&Sha256::digest(&changed)), "{at}");
            }
        }
    }

    #[test]
    fn garbage_still_has_a_fingerprint() {
        let certificate = Certificate::read(b"abc");
        assert_eq!(
            certificate.to_string(),
            "unreadable certificate, SHA-256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(certificate.names_shown(), "no host name");
    }

    #[test]
    fn long_lists_are_cut() {
        let certificate = Certificate {
            names: (0..10).map(|n| format!("h{n}")).collect(),
            ..Certificate::default()
        };
        assert!(certificate.names_shown().ends_with("h7 and 2 more"));
        assert_eq!(shown(&"x".repeat(200)).chars().count(), MAX_NAME + 1);
        assert_eq!(shown(&"x".repeat(MAX_NAME)).chars().count(), MAX_NAME);
        assert_eq!(shown("CN=\u{202e}12p\u{200b}"), "CN=12p");
    }
}
