//! The user's `profiles.toml`: one section is written or taken out, and what else is there stays as it is.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use p21auth::internal::options::{parse_profiles, profiles_file};

use super::Failure;

/// Where this user's profiles are.
pub(super) struct Book {
    path: PathBuf,
}

impl Book {
    pub(super) fn open() -> Result<Book, Failure> {
        let path = profiles_file(|name| std::env::var_os(name))?;
        // A link, such as into a folder under version control, stays one.
        let path = path.canonicalize().unwrap_or(path);
        Ok(Book { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The user's configuration folder of this library.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn text(&self) -> Result<String, Failure> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(self.failed("read", &error)),
        }
    }

    fn failed(&self, verb: &str, error: &io::Error) -> Failure {
        let path = self.path.display();
        Failure::usage(
            format!("{path} cannot be {verb}: {error}"),
            "Check that the folder and the file belong to you.",
        )
    }

    /// The names of all profiles.
    ///
    /// # Errors
    ///
    /// A file that cannot be read: it is not written either.
    pub(super) fn names(&self) -> Result<Vec<String>, Failure> {
        self.names_in(&self.text()?)
    }

    fn names_in(&self, text: &str) -> Result<Vec<String>, Failure> {
        let shown = self.path.display().to_string();
        let profiles = parse_profiles(text.as_bytes(), &shown)?;
        Ok(profiles.into_iter().map(|profile| profile.name).collect())
    }

    /// Writes a profile of these options in the place of the one of this name, or at the end.
    pub(super) fn put(&self, name: &str, options: &[(String, String)]) -> Result<(), Failure> {
        self.change(|text| with(text, name, options))
    }

    /// Takes a profile out. Returns whether there was one.
    pub(super) fn take_out(&self, name: &str) -> Result<bool, Failure> {
        if !self.names()?.iter().any(|known| known == name) {
            return Ok(false);
        }
        self.change(|text| without(text, name))?;
        Ok(true)
    }

    /// One change at a time, of the file as it is then; a reader sees the file before or after it.
    fn change(&self, change: impl FnOnce(&str) -> String) -> Result<(), Failure> {
        let written = |error: io::Error| self.failed("written", &error);
        make_private(self.folder()).map_err(written)?;
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let lock = options
            .open(self.folder().join("profiles.lock"))
            .map_err(written)?;
        // Storage without locks has the file replaced as a whole all the same.
        let _ = lock.lock();
        let text = self.text()?;
        self.names_in(&text)?;
        let text = change(&text);
        self.names_in(&text)?;
        write_private(&self.path, text.as_bytes()).map_err(written)
    }
}

/// Makes a folder that is the user's alone, if it is not there.
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Replaces a file by one that is the user's alone.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // Made with rights for its owner alone.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The lines of a file, and which of them are a profile: its head and all up to its last option. Comments that follow belong to
/// what comes next.
fn section<'a>(text: &'a str, name: &str) -> (Vec<&'a str>, Option<(usize, usize)>) {
    let lines: Vec<&str> = text.lines().collect();
    let head_of = |line: &str| {
        let line = line.trim_start_matches('\u{feff}').trim();
        let profiles = line
            .starts_with('[')
            .then(|| parse_profiles(line.as_bytes(), ""));
        Some(profiles?.ok()?.pop()?.name)
    };
    let Some(begin) = lines
        .iter()
        .position(|line| head_of(line).as_deref() == Some(name))
    else {
        return (lines, None);
    };
    let mut end = begin + 1;
    for (at, line) in lines.iter().enumerate().skip(begin + 1) {
        let line = line.trim();
        if line.starts_with('[') {
            break;
        }
        if !line.is_empty() && !line.starts_with('#') {
            end = at + 1;
        }
    }
    (lines, Some((begin, end)))
}

fn joined(lines: &[String]) -> String {
    lines
        .iter()
        .fold(String::new(), |text, line| text + line + "\n")
}

fn with(text: &str, name: &str, options: &[(String, String)]) -> String {
    let (lines, place) = section(text, name);
    let owned = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| (*line).to_owned())
            .collect::<Vec<_>>()
    };
    let written = options
        .iter()
        .map(|(name, value)| format!("{name} = {}", quoted(value)));
    let (mut all, after) = if let Some((begin, end)) = place {
        let mut all = owned(&lines[..=begin]);
        let comments = lines[begin + 1..end].iter();
        let comments = comments.filter(|line| line.trim().starts_with('#'));
        all.extend(comments.map(|line| (*line).to_owned()));
        (all, owned(&lines[end..]))
    } else {
        let mut all = owned(&lines);
        if all.last().is_some_and(|line| !line.trim().is_empty()) {
            all.push(String::new());
        }
        all.push(format!("[{name}]"));
        (all, Vec::new())
    };
    all.extend(written);
    all.extend(after);
    joined(&all)
}

fn without(text: &str, name: &str) -> String {
    let (lines, place) = section(text, name);
    let Some((begin, mut end)) = place else {
        return text.to_owned();
    };
    // One blank line between sections is enough.
    let is_blank = |at: usize| lines.get(at).is_none_or(|line| line.trim().is_empty());
    if end < lines.len() && is_blank(end) && (begin == 0 || is_blank(begin - 1)) {
        end += 1;
    }
    let kept = lines[..begin].iter().chain(&lines[end..]);
    joined(&kept.map(|line| (*line).to_owned()).collect::<Vec<_>>())
}

/// A value as TOML.
fn quoted(value: &str) -> String {
    let is_number =
        !value.is_empty() && value.len() < 19 && value.bytes().all(|byte| byte.is_ascii_digit());
    let is_canonical = value == "0" || !value.starts_with('0');
    if is_number && is_canonical || matches!(value, "true" | "false") {
        return value.to_owned();
    }
    let mut text = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c.is_control() => text.extend(format!("\\u{:04X}", u32::from(c)).chars()),
            c => text.push(c),
        }
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str, name: &str) -> Vec<(String, String)> {
        let profiles = parse_profiles(text.as_bytes(), "x").expect("valid");
        let profile = profiles
            .into_iter()
            .find(|profile| profile.name == name)
            .expect("there");
        let pairs = profile.pairs.into_iter();
        pairs
            .map(|(name, value, _)| (name, value.expose().to_owned()))
            .collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let options: Vec<_> = [
            "plain",
            "1",
            "007",
            "true",
            "a \"b\" \\c #d",
            "x\ny\t\u{7f}",
            "ä",
            "",
        ]
        .iter()
        .enumerate()
        .map(|(at, value)| (format!("o{at}"), (*value).to_owned()))
        .collect();
        let text = with("", "mine", &options);
        assert_eq!(pairs(&text, "mine"), options);
        assert!(
            text.starts_with("[mine]\no0 = \"plain\"\no1 = 1\no2 = \"007\"\no3 = true\n"),
            "{text}"
        );
    }

    const FILE: &str = "# all\n[a]\nx = 1\n# inner\ny = 2 # z\n\n# of b\n[ 'b' ]\nz = 3\n\n[c]\n";

    #[test]
    fn what_is_not_meant_stays_as_it_is() {
        let one = |value: &str| vec![("n".to_owned(), value.to_owned())];
        for (name, expected) in [
            (
                "a",
                "# all\n[a]\n# inner\nn = 9\n\n# of b\n[ 'b' ]\nz = 3\n\n[c]\n",
            ),
            (
                "b",
                "# all\n[a]\nx = 1\n# inner\ny = 2 # z\n\n# of b\n[ 'b' ]\nn = 9\n\n[c]\n",
            ),
            (
                "c",
                "# all\n[a]\nx = 1\n# inner\ny = 2 # z\n\n# of b\n[ 'b' ]\nz = 3\n\n[c]\nn = 9\n",
            ),
            (
                "d",
                "# all\n[a]\nx = 1\n# inner\ny = 2 # z\n\n# of b\n[ 'b' ]\nz = 3\n\n[c]\n\n[d]\nn = 9\n",
            ),
        ] {
            assert_eq!(with(FILE, name, &one("9")), expected, "{name}");
        }
        for (name, expected) in [
            ("a", "# all\n\n# of b\n[ 'b' ]\nz = 3\n\n[c]\n"),
            (
                "b",
                "# all\n[a]\nx = 1\n# inner\ny = 2 # z\n\n# of b\n\n[c]\n",
            ),
            (
                "c",
                "# all\n[a]\nx = 1\n# inner\ny = 2 # z\n\n# of b\n[ 'b' ]\nz = 3\n\n",
            ),
            ("d", FILE),
        ] {
            assert_eq!(without(FILE, name), expected, "{name}");
        }
        let marked = "\u{feff}[a]\r\nx = 1\r\n[b]\r\n";
        assert_eq!(without(marked, "a"), "[b]\n");
    }
}
