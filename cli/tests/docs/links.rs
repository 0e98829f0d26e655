//! Every link leads somewhere. Addresses on the web are read, not visited.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::pages::{linked_pages, parse, path};

/// The anchors that GitHub makes of a page's headings.
fn anchors(page: &str) -> Vec<String> {
    let mut seen = BTreeMap::new();
    let (_, prose) = parse(page);
    let headings = prose.iter().filter_map(|line| {
        let text = line.trim_start_matches('#');
        (line.len() != text.len() && text.starts_with(' ')).then(|| text.trim())
    });
    headings
        .map(|heading| {
            let slug: String = heading
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect();
            let count = seen.entry(slug.clone()).or_insert(0);
            *count += 1;
            match *count {
                1 => slug,
                more => format!("{slug}-{}", more - 1),
            }
        })
        .collect()
}

/// The targets of `[text](target)`, `[text]: target` and `src="target"`.
fn targets(prose: &str) -> Vec<&str> {
    let inline = prose
        .match_indices("](")
        .filter_map(|(at, mark)| prose[at + mark.len()..].split(')').next());
    let references = prose.lines().filter_map(|line| {
        let (name, target) = line.strip_prefix('[')?.split_once("]: ")?;
        (!name.contains(']')).then(|| target.trim())
    });
    let images = prose
        .match_indices("src=\"")
        .filter_map(|(at, mark)| prose[at + mark.len()..].split('"').next());
    inline.chain(references).chain(images).collect()
}

/// `folder/../page` as `page`; `None` when it leaves the tree.
fn tidy(path: &Path) -> Option<PathBuf> {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => tidy.pop().then_some(())?,
            Component::Normal(name) => tidy.push(name),
            _ => {}
        }
    }
    Some(tidy)
}

fn fault(page: &str, target: &str) -> Option<&'static str> {
    if target.starts_with("http://") || target.starts_with("https://") {
        let valid = url::Url::parse(target).is_ok_and(|url| url.has_host());
        return (!valid).then_some("is no address");
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = Path::new(page).parent().expect("a page is a file");
    let Some(file) = tidy(&match file {
        "" => PathBuf::from(page),
        _ => folder.join(file),
    }) else {
        return Some("leaves the tree");
    };
    let name = file.to_string_lossy();
    if !path(&name).exists() {
        return Some("is not there");
    }
    if anchor.is_empty() {
        None
    } else if file.extension().is_none_or(|end| end != "md") {
        Some("has an anchor and is no page")
    } else {
        let there = anchors(&name).iter().any(|one| one == anchor);
        (!there).then_some("has no such heading")
    }
}

#[test]
fn every_link_leads_somewhere() {
    let (mut count, mut faults) = (0, Vec::new());
    for page in linked_pages() {
        let (_, prose) = parse(&page);
        for target in targets(&prose.join("\n")) {
            count += 1;
            if let Some(what) = fault(&page, target) {
                faults.push(format!("{page}: {target} {what}"));
            }
        }
    }
    assert!(count > 60, "only {count} links were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_leads_nowhere_is_noticed() {
    for (target, what) in [
        ("docs/emulator.md#control", None),
        ("docs/nothing.md", Some("is not there")),
        ("docs/emulator.md#nothing", Some("has no such heading")),
        ("src/lib.rs#x", Some("has an anchor and is no page")),
        ("../other/README.md", Some("leaves the tree")),
        ("https://", Some("is no address")),
        ("https://example.com/#x", None),
    ] {
        assert_eq!(fault("README.md", target), what, "{target}");
    }
    assert_eq!(
        targets("a [b](c.md#d) ![e](f.svg) <img src=\"g\">\n[h]: i"),
        ["c.md#d", "f.svg", "i", "g"]
    );
}

/// Each page of the manual is reached from the README, or no one finds it.
#[test]
fn every_page_of_the_manual_is_linked_from_the_readme() {
    let (_, prose) = parse("README.md");
    let prose = prose.join("\n");
    let found = targets(&prose);
    for page in linked_pages() {
        assert!(
            !page.starts_with("docs/") || found.iter().any(|target| target.starts_with(&page)),
            "README.md has no link to {page}"
        );
    }
}
