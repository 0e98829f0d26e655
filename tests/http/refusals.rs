//! Everything that can be wrong with a chain of certificates, each shown by a real server: what the error says it is, and what to
//! do.

use std::io::Write as _;
use std::path::Path;

use p21auth::Code;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CidrSubnet, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, NameConstraints, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use test_support::identity::config_of;
use test_support::server::Server;

use crate::{fails, send, settings};

/// What a server shows, and the authority that its client trusts.
struct Chain {
    root: String,
    /// The server's own first.
    shown: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Files with a root, the server's certificate, its issuer's if that is another, and the server's key: what rcgen does not
/// make. From openssl, valid for a hundred years.
fn of_file(name: &str) -> Chain {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http/certificates");
    let pem = std::fs::read_to_string(folder.join(name)).expect(name);
    let end = "-----END CERTIFICATE-----\n";
    let (root, rest) = pem.split_once(end).expect("a root");
    Chain {
        root: format!("{root}{end}"),
        shown: CertificateDer::pem_slice_iter(rest.as_bytes())
            .collect::<Result<_, _>>()
            .expect("certificates"),
        key: PrivateKeyDer::from_pem_slice(rest.as_bytes()).expect("a key"),
    }
}

type Adjust<'a> = &'a dyn Fn(&mut CertificateParams);

struct Signed {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
    key: PrivateKeyDer<'static>,
}

fn signed(name: &str, adjust: Adjust<'_>, by: Option<&Signed>) -> Signed {
    let key = KeyPair::generate().expect("key");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    adjust(&mut params);
    let certificate = match by {
        Some(by) => params.signed_by(&key, &by.issuer),
        None => params.self_signed(&key),
    };
    Signed {
        certificate: certificate.expect("certificate"),
        key: PrivateKeyDer::try_from(key.serialize_der()).expect("key"),
        issuer: Issuer::new(params, key),
    }
}

fn authority(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
}

fn server(params: &mut CertificateParams) {
    let names = ["127.0.0.1".to_owned(), "p21.example".to_owned()];
    let params_for = CertificateParams::new(names).expect("names");
    params.subject_alt_names = params_for.subject_alt_names;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
}

/// Root, any number of intermediates with these changes to a plain one, and a server's certificate with these.
fn made(intermediates: &[Adjust<'_>], leaf: Adjust<'_>) -> Chain {
    let root = signed("Company Root", &authority, None);
    let mut issuers: Vec<Signed> = Vec::new();
    for (number, adjust) in intermediates.iter().enumerate() {
        let both = |params: &mut CertificateParams| {
            authority(params);
            adjust(params);
        };
        let name = format!("Company Issuing {number}");
        issuers.push(signed(&name, &both, Some(issuers.last().unwrap_or(&root))));
    }
    let both = |params: &mut CertificateParams| {
        server(params);
        leaf(params);
    };
    let own = signed(
        "P21 middleware",
        &both,
        Some(issuers.last().unwrap_or(&root)),
    );
    let shown = std::iter::once(&own).chain(issuers.iter().rev());
    Chain {
        root: root.certificate.pem(),
        shown: shown.map(|one| one.certificate.der().clone()).collect(),
        key: own.key,
    }
}

fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2019, 1, 2);
    params.not_after = date_time_ymd(2020, 3, 4);
}

fn plain(_: &mut CertificateParams) {}

/// The server's own certificate is refused with these words in message and hint, and none of Rust's.
#[track_caller]
fn refuses(chain: Chain, message: &[&str], hint: &[&str]) {
    let sha256 = p21auth::internal::secret::hex(&Sha256::digest(&chain.shown[0]));
    let mut file = tempfile::NamedTempFile::new().expect("file");
    file.write_all(chain.root.as_bytes()).expect("written");
    let mut settings = settings();
    settings.tls.ca_file = Some(file.path().to_owned());
    let server = Server::tls(config_of(chain.shown, &chain.key, rustls::ALL_VERSIONS));
    let error = fails(
        send(&settings, &server.url("https")),
        Code::Tls,
        message,
        hint,
    );
    assert!(error.message().contains(&sha256), "{error}");
    assert!(
        !error.is_retryable() && error.message().len() < 700,
        "{error}"
    );
    for debug in [
        "Context",
        "InvalidCertificate",
        " { ",
        "[",
        "Constraint",
        "UnixTime",
    ] {
        assert!(!error.to_string().contains(debug), "{debug}: {error}");
    }
    if hint.contains(&UNUSABLE) {
        assert!(!error.hint().contains("pin"), "{error}");
    } else {
        assert!(
            error.hint().contains(&format!("tls_pin_sha256={sha256}")),
            "{error}"
        );
        settings.tls.ca_file = None;
        let pin: [u8; 32] = std::array::from_fn(|at| {
            u8::from_str_radix(&sha256[2 * at..2 * at + 2], 16).expect("hex")
        });
        settings.tls.pins = vec![p21auth::internal::options::Pin(pin)];
        let response = send(&settings, &server.url("https")).expect("what it advises helps");
        assert_eq!(response.status, 200);
    }
}

/// The hint for a certificate whose key cannot even be read, so that a pin does not help.
const UNUSABLE: &str = "No option accepts such a certificate.";

#[test]
fn a_good_chain_is_accepted() {
    let chain = made(&[&plain, &plain], &plain);
    let mut file = tempfile::NamedTempFile::new().expect("file");
    file.write_all(chain.root.as_bytes()).expect("written");
    let mut settings = settings();
    settings.tls.ca_file = Some(file.path().to_owned());
    let server = Server::tls(config_of(chain.shown, &chain.key, rustls::ALL_VERSIONS));
    send(&settings, &server.url("https")).expect("a response");
}

#[test]
fn an_expired_intermediate_is_not_the_servers_own() {
    for chain in [
        made(&[&expired], &plain),
        made(&[&plain, &expired], &plain),
        made(&[&expired, &plain], &plain),
    ] {
        refuses(
            chain,
            &[
                "depends on an intermediate certificate that has expired (that of \"CN=Company Issuing",
                "valid from 2019-01-02 to 2020-03-04)",
                "certificate of \"CN=P21 middleware\"",
            ],
            &["own certificate is not the cause", "renew the intermediate"],
        );
    }
    refuses(
        made(&[&plain], &expired),
        &[
            "127.0.0.1",
            " has expired: certificate of \"CN=P21 middleware\"",
        ],
        &["Renew the certificate on the server"],
    );
}

#[test]
fn an_intermediate_from_the_future_is_named() {
    let future = |params: &mut CertificateParams| params.not_before = date_time_ymd(4000, 1, 2);
    refuses(
        made(&[&future], &plain),
        &[
            "depends on an intermediate certificate that is not valid yet",
            "Company Issuing 0",
        ],
        &["this machine's date", "begins on 4000-01-02"],
    );
    refuses(
        made(&[&plain], &future),
        &[" is not valid yet: certificate"],
        &["this machine's date", "begins on 4000-01-02"],
    );
}

#[test]
fn rules_that_an_authority_set_are_named() {
    let none_below = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    };
    let other_names = |params: &mut CertificateParams| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("corp.local".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    };
    let not_this_address = |params: &mut CertificateParams| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: Vec::new(),
            excluded_subtrees: vec![GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix(
                [127, 0, 0, 0],
                8,
            ))],
        });
    };
    let no_authority = |params: &mut CertificateParams| params.is_ca = IsCa::ExplicitNoCa;
    for (chain, message, hint) in [
        (
            made(&[&none_below, &plain], &plain),
            "path length",
            "further up",
        ),
        (
            made(&[&other_names], &plain),
            "name constraints",
            "may certify this host",
        ),
        (
            made(&[&not_this_address], &plain),
            "name constraints",
            "may certify this host",
        ),
        (
            made(&[&no_authority], &plain),
            "not an authority's",
            "CA:TRUE",
        ),
    ] {
        refuses(chain, &[message], &[hint]);
    }
}

#[test]
fn what_a_certificate_is_for_is_named() {
    let of_client = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let of_mail = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection];
    };
    let critical = |params: &mut CertificateParams| {
        let mut unknown =
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
        unknown.set_criticality(true);
        params.custom_extensions.push(unknown);
    };
    for (chain, message, hint) in [
        (
            made(&[], &of_client),
            "not for servers",
            "server authentication",
        ),
        (
            made(&[&plain], &of_mail),
            "not for servers",
            "server authentication",
        ),
        (
            made(&[&of_client], &plain),
            "not for servers",
            "server authentication",
        ),
        (made(&[], &critical), "critical extension", UNUSABLE),
        (
            made(&[&critical], &plain),
            "critical extension",
            "reissued without that",
        ),
        (
            made(&[], &authority),
            "authority's certificate",
            "not an authority's",
        ),
    ] {
        refuses(chain, &[message], &[hint]);
    }
}

#[test]
fn old_algorithms_and_short_keys_are_named() {
    for (file, message, hint) in [
        (
            "sha1-leaf.pem",
            " is signed with SHA-1 with RSA, which is not accepted: ",
            "SHA-256",
        ),
        ("md5-leaf.pem", " is signed with MD5 with RSA", "SHA-256"),
        (
            "sha1-intermediate.pem",
            "depends on an intermediate certificate that is signed with SHA-1 with ECDSA, which is not accepted (that of \"CN=Company Issuing\"",
            "Have the intermediate certificate reissued",
        ),
        (
            "short-ca.pem",
            " was signed with an RSA key of 1024 bits",
            "at least 2048 bits",
        ),
        (
            "short-intermediate.pem",
            " was signed with an RSA key of 1024 bits",
            "at least 2048 bits",
        ),
        (
            "p521-sha512.pem",
            " is signed with SHA-512 with ECDSA",
            "P-256 or P-384",
        ),
        (
            "p521-sha256.pem",
            "a kind that is not supported, such as P-521",
            "P-256 or P-384",
        ),
        ("version1.pem", "X.509 version 1", UNUSABLE),
    ] {
        refuses(of_file(file), &[message], &[hint]);
    }
}

#[test]
fn what_is_no_certificate_is_told() {
    let whole = made(&[], &plain);
    let mut cut = whole.shown[0].to_vec();
    cut.truncate(cut.len() - 20);
    for der in [vec![0x30, 3, 2, 1, 1], b"not DER at all".to_vec(), cut] {
        let chain = Chain {
            root: whole.root.clone(),
            shown: vec![der.into()],
            key: whole.key.clone_key(),
        };
        let mut settings = settings();
        let server = Server::tls(config_of(chain.shown, &chain.key, rustls::ALL_VERSIONS));
        let says = &["not well-formed", "unreadable certificate"];
        fails(
            send(&settings, &server.url("https")),
            Code::Tls,
            says,
            &["other software", UNUSABLE],
        );
        settings.tls.verify = false;
        let error = fails(
            send(&settings, &server.url("https")),
            Code::Tls,
            &["not well-formed"],
            &[],
        );
        assert!(!error.to_string().contains("BadEncoding"), "{error}");
    }
}

#[test]
fn alerts_are_told_in_words() {
    for (alert, message, hint) in [
        (42, "(bad certificate)", "client certificates"),
        (48, "(unknown ca)", "client certificates"),
        (49, "(access denied)", "client certificates"),
        (116, "requires a client certificate", "client certificates"),
        (
            80,
            "failed internally during the TLS handshake",
            "private key",
        ),
        (90, "(user canceled)", "Schannel"),
        (50, "(decode error)", "Schannel"),
        (200, "ended the TLS handshake", "Schannel"),
        (71, "(insufficient security)", "old TLS"),
        (112, "does not serve this host name", "base_url"),
    ] {
        let server = Server::raw(move |mut stream, _| {
            let _ = stream.write_all(&[0x15, 3, 3, 0, 2, 2, alert]);
            test_support::server::until_closed(&mut stream);
        });
        let error = fails(
            send(&settings(), &server.url("https")),
            Code::Tls,
            &[message],
            &[hint],
        );
        for debug in ["AlertReceived", "Unknown(", "fatal alert"] {
            assert!(!error.to_string().contains(debug), "{error}");
        }
    }
    // Well-formed records that no handshake begins with.
    for record in [
        &[0x16, 3, 3, 0, 4, 14, 0, 0, 0][..],
        &[0x17, 3, 3, 0, 1, 0],
        &[0x16, 3, 3, 0, 4, 2, 0, 0, 0],
        &[0x16, 3, 3, 0xff, 0xff],
    ] {
        let server = Server::raw(move |mut stream, _| {
            let _ = stream.write_all(record);
            test_support::server::until_closed(&mut stream);
        });
        let place = server.address.to_string();
        let error = fails(
            send(&settings(), &server.url("https")),
            Code::Tls,
            &[&place],
            &["firewall"],
        );
        assert!(!error.message().contains(['{', '[', '(']), "{error}");
    }
}
