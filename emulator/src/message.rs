//! HTTP/1.1 messages: reading a request, writing a reply's head.

use std::io::{self, Read, Write};
use std::time::SystemTime;

use serde_json::Value;

use super::text::xml_escape;

const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: usize = 1024 * 1024;
const MAX_HEADERS: usize = 100;

/// A request, read whole.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub method: String,
    /// Path as sent, without the query.
    pub path: String,
    /// Query as sent, without the question mark.
    pub query: Option<String>,
    /// Names as sent, values read as Latin-1.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The body's length was stated, even if as 0.
    pub has_length: bool,
    /// The client wants the connection closed after the answer.
    pub close: bool,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// A value of the query, percent-decoded; the name without regard to case.
    pub fn query_value(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_deref()?.as_bytes())
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.into_owned())
    }

    /// All of the query, percent-decoded.
    pub fn query_pairs(&self) -> Vec<(String, String)> {
        let query = self.query.as_deref().unwrap_or_default();
        url::form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect()
    }

    /// The token after `Bearer`.
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    pub fn accepts_json(&self) -> bool {
        self.header("accept")
            .is_some_and(|accept| accept.to_ascii_lowercase().contains("json"))
    }

    /// Reads the next request; `buffer` keeps what arrived beyond it. `None`: the client is done.
    ///
    /// # Errors
    /// Of kind `InvalidData` where the bytes aren't a request, else those of the stream.
    pub fn read(
        stream: &mut (impl Read + Write),
        buffer: &mut Vec<u8>,
    ) -> io::Result<Option<Self>> {
        let (mut request, head, length) = loop {
            if let Some(parsed) = parse_head(buffer)? {
                break parsed;
            }
            if buffer.len() > MAX_HEAD {
                return Err(invalid("request head too large"));
            }
            if fill(stream, buffer)? == 0 {
                return if buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        };
        buffer.drain(..head);
        if request
            .header("expect")
            .is_some_and(|v| v.eq_ignore_ascii_case("100-continue"))
        {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            stream.flush()?;
        }
        request.body = match length {
            Length::Fixed(n) => exactly(stream, buffer, n)?,
            Length::Chunked => chunks(stream, buffer)?,
        };
        Ok(Some(request))
    }
}

enum Length {
    Fixed(usize),
    Chunked,
}

fn parse_head(buffer: &[u8]) -> io::Result<Option<(Request, usize, Length)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let head = match parsed.parse(buffer) {
        Ok(httparse::Status::Complete(n)) => n,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(invalid(&error.to_string())),
    };
    let target = parsed.path.unwrap_or("/");
    // A proxy's absolute form: only the path matters here.
    let target = target.split_once("://").map_or(target, |(_, rest)| {
        rest.find('/').map_or("/", |at| &rest[at..])
    });
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let mut request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query,
        headers: parsed
            .headers
            .iter()
            .map(|h| (h.name.to_owned(), latin1(h.value)))
            .collect(),
        ..Request::default()
    };
    let connection = request
        .header("connection")
        .unwrap_or_default()
        .to_ascii_lowercase();
    request.close = connection.contains("close")
        || (parsed.version == Some(0) && !connection.contains("keep-alive"));
    let length = if let Some(coding) = request.header("transfer-encoding") {
        if !coding.eq_ignore_ascii_case("chunked") {
            return Err(invalid("unknown transfer encoding"));
        }
        Length::Chunked
    } else {
        let stated = request.header("content-length");
        let n = match stated {
            Some(text) => text
                .trim()
                .parse()
                .map_err(|_| invalid("bad Content-Length"))?,
            None => 0,
        };
        if n > MAX_BODY {
            return Err(invalid("request body too large"));
        }
        request.has_length = stated.is_some();
        return Ok(Some((request, head, Length::Fixed(n))));
    };
    request.has_length = true;
    Ok(Some((request, head, length)))
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| char::from(b)).collect()
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn fill(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0; 4096];
    let n = stream.read(&mut chunk)?;
    buffer.extend_from_slice(&chunk[..n]);
    Ok(n)
}

fn exactly(stream: &mut impl Read, buffer: &mut Vec<u8>, n: usize) -> io::Result<Vec<u8>> {
    while buffer.len() < n {
        if fill(stream, buffer)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(buffer.drain(..n).collect())
}

fn chunks(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let (start, size) = loop {
            match httparse::parse_chunk_size(buffer) {
                Ok(httparse::Status::Complete(found)) => break found,
                Ok(httparse::Status::Partial) if fill(stream, buffer)? > 0 => {}
                Ok(httparse::Status::Partial) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(_) => return Err(invalid("bad chunk size")),
            }
        };
        buffer.drain(..start);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > MAX_BODY - body.len() {
            return Err(invalid("request body too large"));
        }
        body.append(&mut exactly(stream, buffer, size)?);
        if exactly(stream, buffer, 2)? != b"\r\n" {
            return Err(invalid("bad chunk end"));
        }
        if size == 0 {
            return Ok(body);
        }
    }
}

/// A reply before it is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".into(), content_type.into())],
            body: body.into(),
        }
    }

    pub fn json(status: u16, value: &Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", value.to_string())
    }

    pub fn xml(status: u16, body: String) -> Self {
        Self::new(status, "application/xml; charset=utf-8", body)
    }

    pub fn text(status: u16, body: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body)
    }

    pub fn html(status: u16, body: String) -> Self {
        Self::new(status, "text/html", body)
    }

    /// One of the error pages that IIS itself writes.
    pub fn iis(status: u16, what: &str) -> Self {
        Self::html(
            status,
            format!(
                "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \
                 \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd\">\r\n\
                 <html xmlns=\"http://www.w3.org/1999/xhtml\">\r\n<head>\r\n\
                 <title>{status} - {what}</title>\r\n</head>\r\n<body>\r\n\
                 <div id=\"header\"><h1>Server Error</h1></div>\r\n\
                 <div id=\"content\"><h2>{status} - {what}</h2></div>\r\n</body>\r\n</html>\r\n"
            ),
        )
    }

    /// An XML error with this root in the vendor's namespace.
    pub fn xml_error(status: u16, root: &str, error: &str, description: &str) -> Self {
        Self::xml(
            status,
            format!(
                "<{root} xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" \
                 xmlns=\"http://distributionsuite.activant.com\"><Error>{}</Error>\
                 <Description>{}</Description><Uri /></{root}>",
                xml_escape(error),
                xml_escape(description)
            ),
        )
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Status line and headers. `length` unset: the body ends with the connection.
    pub fn head(&self, date: Option<SystemTime>, length: Option<usize>, close: bool) -> Vec<u8> {
        use std::fmt::Write as _;
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        let mut line = |name: &str, value: &str| {
            // A canned header must not be able to break the message apart.
            let clean = |text: &str| text.replace(['\r', '\n'], " ");
            let _ = write!(head, "{}: {}\r\n", clean(name), clean(value));
        };
        for (name, value) in &self.headers {
            line(name, value);
        }
        line("Server", "Microsoft-IIS/10.0");
        line("X-Powered-By", "ASP.NET");
        if let Some(date) = date {
            line("Date", &httpdate::fmt_http_date(date));
        }
        if let Some(length) = length {
            line("Content-Length", &length.to_string());
        }
        if close {
            line("Connection", "close");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// Returns its bytes one at a time, and keeps what is written.
    struct Slow(Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Slow {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = out.len().min(1);
            self.0.read(&mut out[..n])
        }
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow(bytes: &[u8]) -> Slow {
        Slow(Cursor::new(bytes.to_vec()), Vec::new())
    }

    #[test]
    fn two_requests_on_one_connection() {
        let mut stream = slow(
            b"POST /a?x=%C3%BC+y HTTP/1.1\r\nContent-Length: 2\r\npassword: p\xe4\r\n\r\nhiGET /b HTTP/1.0\r\n\r\n",
        );
        let mut buffer = Vec::new();
        let first = Request::read(&mut stream, &mut buffer).unwrap().unwrap();
        assert_eq!(
            (first.path.as_str(), first.body.as_slice()),
            ("/a", &b"hi"[..])
        );
        assert_eq!(first.query_value("X").as_deref(), Some("ü y"));
        assert_eq!(first.header("Password"), Some("pä"));
        assert!(first.has_length && !first.close);
        let second = Request::read(&mut stream, &mut buffer).unwrap().unwrap();
        assert!(!second.has_length && second.close);
        assert!(Request::read(&mut stream, &mut buffer).unwrap().is_none());
    }

    #[test]
    fn chunks_are_joined_and_100_continue_is_answered() {
        let mut stream = slow(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        );
        let request = Request::read(&mut stream, &mut Vec::new())
            .unwrap()
            .unwrap();
        assert_eq!(request.body, b"abcde");
        assert!(stream.1.starts_with(b"HTTP/1.1 100"));
    }

    #[test]
    fn garbage_and_half_requests_are_errors() {
        for bytes in [
            &b"\x16\x03\x01\x02\x00"[..],
            b"GET / HTTP/1.1\r\nHo",
            b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
        ] {
            assert!(Request::read(&mut slow(bytes), &mut Vec::new()).is_err());
        }
    }

    #[test]
    fn a_canned_header_cannot_split_the_reply() {
        let reply = Reply::text(200, "x").with("A", "b\r\nInjected: c");
        let head = String::from_utf8(reply.head(None, Some(1), true)).unwrap();
        assert!(!head.contains("\nInjected"));
        assert!(head.ends_with("Content-Length: 1\r\nConnection: close\r\n\r\n"));
    }
}
