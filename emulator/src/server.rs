//! One connection: requests in, replies or faults out.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustls::ServerConfig;

use super::apis::{self, Answer, Place};
use super::calls::Call;
use super::control_http;
use super::dialect::Asked;
use super::fault::{Action, Fault};
use super::message::{Reply, Request};
use super::state::{Shared, State, shift};
use super::stream::Stream;
use super::text::{decoded, fingerprint};

/// Routes whose last request is kept.
const MANY_ROUTES: usize = 200;

/// Serves a connection until it ends; with `control_alone` it has nothing but the control endpoint.
pub(super) fn serve(
    socket: Arc<TcpStream>,
    tls: Option<Arc<ServerConfig>>,
    control_alone: bool,
    shared: &Arc<Shared>,
) {
    let _ = socket.set_nodelay(true);
    let mut stream = match tls {
        None => Stream::plain(socket),
        Some(config) => match Stream::tls(socket, config) {
            Ok(stream) => stream,
            Err(error) => {
                shared.bump("connections.tls_failed");
                shared.log(|| format!("TLS handshake failed: {error}"));
                return;
            }
        },
    };
    let mut buffer = Vec::new();
    let mut used = false;
    while !shared.stopping() {
        let request = match Request::read(&mut stream, &mut buffer) {
            Ok(Some(request)) => Arc::new(request),
            Ok(None) => break,
            Err(error) => {
                if error.kind() == io::ErrorKind::InvalidData {
                    let reply = Reply::iis(400, "Bad Request");
                    let _ = send(&mut stream, &reply, shared, 0, true, false);
                }
                break;
            }
        };
        let only = || {
            let nothing =
                || Reply::text(404, "This port has only the control page, at /_control/.\n");
            control_alone.then(nothing)
        };
        if let Some(reply) = control_http::answer(&request, shared).or_else(only) {
            let head_only = request.method == "HEAD";
            if send(&mut stream, &reply, shared, 0, request.close, head_only).is_err()
                || request.close
            {
                break;
            }
            continue;
        }
        if !used {
            used = true;
            shared.bump("connections.used");
        }
        let (reply, action) = respond(&request, shared);
        let close = request.close || !shared.lock().settings.keep_alive;
        match deliver(stream, &reply, &action, &request, close, shared) {
            Some(open) => stream = open,
            None => return,
        }
    }
    stream.close();
}

/// What is known of a request before it is answered.
struct Arrival {
    fault: Option<Fault>,
    /// A dialect and who asks; or whose token it is.
    who: String,
    base_latency: u64,
    answer: Option<Answer>,
    /// Its number in the list of calls.
    number: u64,
}

/// The reply to a request, and what shall go wrong with it on its way.
fn respond(request: &Arc<Request>, shared: &Shared) -> (Reply, Action) {
    let started = Instant::now();
    let path = decoded(&request.path).to_ascii_lowercase();
    let place = Place::of(&path, &shared.prefix);
    let asked = match place {
        Place::Token { v2 } if request.method == "POST" => {
            let form = !v2 && shared.lock().settings.v1_form;
            Some(Asked::read(request, v2, form))
        }
        _ => None,
    };
    let arrival = shared.change(|state| arrive(request, &path, place, asked.as_ref(), state));
    shared.pass_gate(&request.path);
    let fault = arrival.fault.unwrap_or_default();
    let latency = arrival.base_latency.saturating_add(fault.latency_ms);
    if latency > 0 {
        shared.pause(Duration::from_millis(latency));
    }
    if fault.hang {
        shared.hang();
    }
    let reply = canned(&fault.action).unwrap_or_else(|| {
        let needs_length = matches!(request.method.as_str(), "POST" | "PUT" | "PATCH");
        if needs_length && !request.has_length {
            return Reply::iis(411, "Length Required");
        }
        match (&arrival.answer, &asked) {
            (Some(answer), _) => answer.reply(request, shared),
            (None, Some(asked)) => asked.answer(request, shared),
            (None, None) => place.answer(request, shared),
        }
    });
    let ms = started.elapsed().as_millis();
    let answered = !matches!(fault.action, Action::Close | Action::Reset);
    let name = Some(fault.action.name())
        .filter(|name| *name != "pass" || fault.hang || fault.latency_ms > 0);
    shared.change(|state| {
        let took = u64::try_from(ms).unwrap_or(u64::MAX);
        state
            .calls
            .end(arrival.number, answered.then_some(reply.status), took, name);
    });
    shared.log(|| {
        let said = if answered {
            reply.status.to_string()
        } else {
            "closed".to_owned()
        };
        let query = if request.query.is_some() { "?…" } else { "" };
        let who = &arrival.who;
        let space = if who.is_empty() { "" } else { " " };
        format!(
            "{} {}{query} {said}{space}{who} {ms} ms",
            request.method, request.path
        )
    });
    (reply, fault.action)
}

/// Counts a request, keeps it for observers, and takes its fault and its answer if there are any.
fn arrive(
    request: &Arc<Request>,
    path: &str,
    place: Place,
    asked: Option<&Asked>,
    state: &mut State,
) -> Arrival {
    state.bump("requests");
    let answer = Answer::find(&state.answers, &request.method, path);
    if answer.is_some() {
        state.bump("answers.requests");
    } else if let Some(counter) = place.counter() {
        state.bump(counter);
    }
    if let Some(asked) = asked {
        asked.count(request, state);
    }
    let route = format!("{} {}", request.method, request.path);
    if state.last.len() < MANY_ROUTES || state.last.contains_key(&route) {
        state.last.insert(route, Arc::clone(request));
    }
    let fault = state.faults.take(&request.method, &request.path);
    if fault.is_some() {
        state.bump("faults.fired");
    }
    let token = request.bearer();
    let issued = token.and_then(|token| state.tokens.get(token));
    let who = match asked {
        Some(asked) => asked.who(state),
        None => issued.map_or_else(String::new, |issued| issued.owner.shown(state)),
    };
    let print = match issued {
        Some(issued) => Some(issued.fingerprint.clone()),
        None => token.map(fingerprint),
    };
    let dialect = asked.map(|asked| asked.dialect);
    let at_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let at_ms = u64::try_from(at_ms.as_millis()).unwrap_or(u64::MAX);
    let number = state
        .calls
        .push(Call::begin(request, who.clone(), dialect, print, at_ms));
    Arrival {
        fault,
        who: dialect.map_or(who.clone(), |dialect| format!("{dialect} {who}")),
        base_latency: if asked.is_some() {
            state.settings.latency_ms
        } else {
            0
        },
        answer,
        number,
    }
}

/// The reply of an action that doesn't let the server answer.
fn canned(action: &Action) -> Option<Reply> {
    Some(match action {
        Action::Answer {
            status,
            headers,
            body,
        } => Reply {
            status: *status,
            headers: headers.clone().into_iter().collect(),
            body: body.clone().into_bytes(),
        },
        Action::Redirect { location, status } => {
            Reply::html(*status, String::new()).with("Location", location)
        }
        Action::Empty | Action::Close | Action::Reset => Reply::text(200, ""),
        Action::Html => apis::page(),
        Action::Flood => Reply::new(200, "application/json", r#"{"AccessToken":""#),
        Action::Pass
        | Action::ResetAfterHeaders
        | Action::Truncate { .. }
        | Action::Drip { .. }
        | Action::SkewDate { .. } => return None,
    })
}

/// Sends the reply with its fault; returns the stream if the connection continues.
fn deliver(
    mut stream: Stream,
    reply: &Reply,
    action: &Action,
    request: &Request,
    close: bool,
    shared: &Shared,
) -> Option<Stream> {
    let head = |stream: &mut Stream, length, close| {
        stream.write_all(&reply.head(date(shared, 0), length, close))?;
        stream.flush()
    };
    let whole = Some(reply.body.len());
    match action {
        Action::Close => {
            stream.close();
            return None;
        }
        Action::Reset => {
            stream.reset();
            return None;
        }
        Action::ResetAfterHeaders => {
            let _ = head(&mut stream, whole, close);
            stream.reset();
            return None;
        }
        Action::Truncate { bytes } => {
            let part = &reply.body[..reply.body.len().min(*bytes)];
            let _ = head(&mut stream, whole, close)
                .and_then(|()| stream.write_all(part))
                .and_then(|()| stream.flush());
            stream.cut();
            return None;
        }
        Action::Flood => {
            let _ = head(&mut stream, None, true);
            flood(&mut stream, &reply.body, shared);
            stream.cut();
            return None;
        }
        Action::Drip { bytes_per_s } => {
            head(&mut stream, whole, close).ok()?;
            drip(&mut stream, &reply.body, *bytes_per_s, shared).ok()?;
        }
        _ => {
            let skew = match action {
                Action::SkewDate { seconds } => *seconds,
                _ => 0,
            };
            let head_only = request.method == "HEAD";
            send(&mut stream, reply, shared, skew, close, head_only).ok()?;
        }
    }
    if close {
        stream.close();
        return None;
    }
    Some(stream)
}

fn send(
    stream: &mut Stream,
    reply: &Reply,
    shared: &Shared,
    skew: i64,
    close: bool,
    head_only: bool,
) -> io::Result<()> {
    let mut bytes = reply.head(date(shared, skew), Some(reply.body.len()), close);
    if !head_only {
        bytes.extend_from_slice(&reply.body);
    }
    stream.write_all(&bytes)?;
    stream.flush()
}

fn date(shared: &Shared, skew: i64) -> Option<std::time::SystemTime> {
    let state = shared.lock();
    let skew = state.settings.date_skew_s.saturating_add(skew);
    state
        .settings
        .date_header
        .then(|| shift(state.clock(), skew))
}

/// Writes without end: until the client goes or the emulator stops.
fn flood(stream: &mut Stream, start: &[u8], shared: &Shared) {
    let mut result = stream.write_all(start);
    let more = [b'A'; 16 * 1024];
    while result.is_ok() && !shared.stopping() {
        result = stream.write_all(&more);
    }
}

/// Writes slowly, at most 20 pieces a second.
fn drip(stream: &mut Stream, body: &[u8], bytes_per_s: u32, shared: &Shared) -> io::Result<()> {
    let rate = bytes_per_s.max(1);
    let piece = usize::try_from(rate / 20).unwrap_or(1).max(1);
    let pause = Duration::from_secs(1) * u32::try_from(piece).unwrap_or(1) / rate;
    for part in body.chunks(piece) {
        stream.write_all(part)?;
        stream.flush()?;
        if shared.pause(pause) {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
    Ok(())
}
