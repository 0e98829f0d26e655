//! What a store's URL says.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use url::Url;

use crate::secret::Secret;

const DEFAULT_PORT: u16 = 6379;

/// Where the server is and who we are.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    /// `rediss`; how, is known once certificates have been read.
    pub(super) is_tls: bool,
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) db: u32,
}

impl Target {
    /// Understands `redis://user:password@host:6379/0`, `rediss` for TLS, and `?db=0` for the database. All else is refused:
    /// what is passed over would be missed by anyone who wrote it.
    ///
    /// # Errors
    ///
    /// What is wrong, without the URL's secrets.
    pub(super) fn parse(url: &str) -> Result<Target, String> {
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        let host = url.host_str().unwrap_or_default().to_owned();
        if host.is_empty() {
            return Err("the URL names no host".to_owned());
        }
        if host.contains(',') {
            return Err("the URL names several hosts: name the one that accepts writes".to_owned());
        }
        if url.fragment().is_some() {
            return Err("the URL has a part behind #, which has no meaning here".to_owned());
        }
        let mut db = url.path().trim_matches('/').to_owned();
        for (name, value) in url.query_pairs() {
            if name != "db" {
                return Err(format!(
                    "{name}= has no meaning in the URL: there are options such as store_timeout_ms and ca_file"
                ));
            }
            if !db.is_empty() && db != *value {
                return Err("the URL names two databases".to_owned());
            }
            db = value.into_owned();
        }
        let db = match &*db {
            "" => 0,
            number => number
                .parse()
                .map_err(|_| format!("the database {number:?} is not a number"))?,
        };
        let decoded = |text: &str, what: &str| {
            percent_decode_str(text)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| format!("the {what} in the URL is not UTF-8"))
        };
        let username = Some(decoded(url.username(), "user")?).filter(|name| !name.is_empty());
        let password = url.password().map(|text| decoded(text, "password"));
        let password = password.transpose()?.map(Secret::new);
        if username.is_some() && password.is_none() {
            return Err("the URL has a user and no password".to_owned());
        }
        Ok(Target {
            host,
            port: url.port().unwrap_or(DEFAULT_PORT),
            is_tls: url.scheme() == "rediss",
            tls: None,
            username,
            password,
            db,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_understood() {
        let target = Target::parse("rediss://us%20er:p%40ss@r.example:6380/3").expect("valid");
        assert!(target.is_tls);
        assert_eq!(
            (&*target.host, target.port, target.db),
            ("r.example", 6380, 3)
        );
        assert_eq!(target.username.as_deref(), Some("us er"));
        assert_eq!(target.password, Some(Secret::new("p@ss")));
        let target = Target::parse("redis://:secret@[::1]").expect("valid");
        assert!(!target.is_tls && target.username.is_none());
        assert_eq!((&*target.host, target.port, target.db), ("[::1]", 6379, 0));
        for (url, db) in [
            ("redis://h?db=3", 3),
            ("redis://h/?db=3", 3),
            ("redis://h/3?db=3", 3),
            ("redis://h/3/", 3),
            ("redis://h/", 0),
        ] {
            assert_eq!(Target::parse(url).map(|target| target.db), Ok(db), "{url}");
        }
    }

    #[test]
    fn what_would_be_passed_over_is_refused() {
        for (url, what) in [
            ("redis://h/database", "not a number"),
            ("redis://h/-1", "not a number"),
            ("redis://h/1/2", "not a number"),
            ("redis://h?db=x", "not a number"),
            ("redis://h/1?db=2", "two databases"),
            ("redis://h?ssl=true", "ssl= has no meaning"),
            ("redis://h?protocol=3", "protocol= has no meaning"),
            ("rediss://h#insecure", "behind #"),
            ("redis://a,b", "several hosts"),
            ("redis://user@h", "no password"),
            ("redis://:%ff@h", "not UTF-8"),
            ("redis:///1", "no host"),
        ] {
            let error = Target::parse(url).err().unwrap_or_default();
            assert!(error.contains(what), "{url}: {error}");
        }
    }
}
