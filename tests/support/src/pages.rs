//! Generated parts of the documentation.

use std::path::Path;

/// Compares what stands in a page between two marks with what it should be, after writing it if it is to be refreshed.
#[track_caller]
pub fn keep_part(page: &str, (begin, end): (&str, &str), current: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(page);
    let text = std::fs::read_to_string(&path).expect("the page");
    let (before, rest) = text.split_once(begin).expect("it begins");
    let (part, after) = rest.split_once(end).expect("it ends");
    if std::env::var_os("P21AUTH_REFRESH").is_some() {
        let text = format!("{before}{begin}{current}{end}{after}");
        std::fs::write(&path, text).expect("written");
    } else {
        assert!(
            part == current,
            "{page} is out of date: P21AUTH_REFRESH=1\n{current}"
        );
    }
}

/// As [`keep_part`], of the table called `name`.
#[track_caller]
pub fn keep_table(page: &str, name: &str, table: &str) {
    let (begin, end) = (
        format!("<!-- {name}: begin -->\n"),
        format!("<!-- {name}: end -->"),
    );
    keep_part(page, (&begin, &end), table);
}
