//! Pictures drawn from text: `docs/pictures/NAME.txt` becomes `NAME.svg`. The house is also what the code is held against.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::pages::{keep_current, path, read};

const WIDTH: usize = 960;
const MARGIN: usize = 20;
const GAP: usize = 28;
const LINE: usize = 15;

/// A box: its name, and what it is in a few words.
struct Cell {
    name: String,
    text: String,
}

impl Cell {
    fn is_outside(&self) -> bool {
        self.name.starts_with('(')
    }

    /// The modules that it stands for.
    fn modules(&self) -> impl Iterator<Item = &str> {
        self.name.split('+').filter(|_| !self.is_outside())
    }
}

/// A picture as it is written down.
#[derive(Default)]
struct Picture {
    title: String,
    /// Rows with the line above each, which is empty where rows are layers.
    rows: Vec<(String, Vec<Cell>)>,
    /// Arrows from a lower box to a higher one, and what they mean.
    up: Vec<(String, String, String)>,
}

impl Picture {
    fn read(name: &str) -> Picture {
        let mut picture = Picture::default();
        let mut head = String::new();
        for line in read(name).lines().filter(|line| !line.starts_with('#')) {
            if let Some(title) = line.strip_prefix("title ") {
                title.clone_into(&mut picture.title);
            } else if let Some(text) = line.strip_prefix("row ") {
                text.clone_into(&mut head);
            } else if let Some(arrow) = line.strip_prefix("up ") {
                let (ends, text) = arrow.split_once(": ").unwrap_or((arrow, ""));
                let (from, to) = ends.split_once(" -> ").expect("from -> to");
                picture.up.push((from.into(), to.into(), text.into()));
            } else {
                let cells = line.split(" | ").map(|cell| {
                    let (name, text) = cell.split_once(": ").expect("name: text");
                    Cell {
                        name: name.into(),
                        text: text.into(),
                    }
                });
                picture
                    .rows
                    .push((std::mem::take(&mut head), cells.collect()));
            }
        }
        picture
    }

    /// As SVG, on a background of its own, so that it is readable in light and dark surroundings.
    fn draw(&self) -> String {
        let is_layers = self.rows.iter().all(|(head, _)| head.is_empty());
        // Layers leave room at the right for arrows that go up.
        let right = WIDTH - if self.up.is_empty() { MARGIN } else { 110 };
        let mut svg = text_at(WIDTH / 2, 30, 17, "middle", "600", &self.title);
        let mut places: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        let mut y = 50;
        for (number, (head, cells)) in self.rows.iter().enumerate() {
            if !head.is_empty() {
                y += 8;
                svg += &text_at(MARGIN, y + 12, 14, "start", "600", head);
                y += 24;
            }
            let most = cells.len().max(if is_layers { 1 } else { 8 });
            let gap = if is_layers { 14 } else { GAP };
            let width = (right - MARGIN - (most - 1) * gap) / most;
            let lines: Vec<_> = cells
                .iter()
                .map(|cell| wrapped(&cell.text, width / 7))
                .collect();
            let height = 30 + LINE * lines.iter().map(Vec::len).max().unwrap_or(0);
            for (at, (cell, lines)) in cells.iter().zip(&lines).enumerate() {
                let x = MARGIN + at * (width + gap);
                let (fill, dash) = if cell.is_outside() {
                    ("#f4f1e8", " stroke-dasharray=\"5 3\"")
                } else {
                    ("#e3edf7", "")
                };
                let _ = writeln!(
                    svg,
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"5\" fill=\"{fill}\" stroke=\"#41617f\"{dash}/>"
                );
                let name = cell.name.trim_matches(['(', ')']).replace('+', ", ");
                svg += &text_at(x + width / 2, y + 19, 14, "middle", "600", &name);
                for (line, text) in lines.iter().enumerate() {
                    svg += &text_at(
                        x + width / 2,
                        y + 36 + line * LINE,
                        12,
                        "middle",
                        "400",
                        text,
                    );
                }
                if !is_layers && at > 0 {
                    let middle = y + height / 2;
                    svg += &arrow(&format!("M{} {middle}H{}", x - gap + 2, x - 3), "");
                }
                for module in cell.modules() {
                    places.insert(module, (x + width, y + height / 2));
                }
            }
            y += height;
            if is_layers && number + 1 < self.rows.len() {
                let middle = usize::midpoint(MARGIN, right);
                svg += &arrow(&format!("M{middle} {}V{}", y + 2, y + 17), "");
                y += 20;
            }
        }
        for (number, (from, to, text)) in self.up.iter().enumerate() {
            let ((x1, y1), (x2, y2)) = (places[from.as_str()], places[to.as_str()]);
            let out = right + 30 - number * 14;
            svg += &arrow(
                &format!("M{x1} {y1}H{out}V{y2}H{}", x2 + 3),
                " stroke-dasharray=\"5 3\"",
            );
            svg += &text_at(out + 4, usize::midpoint(y1, y2), 12, "start", "400", text);
        }
        let height = y + MARGIN;
        let title = &self.title;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"Helvetica, Arial, sans-serif\" role=\"img\">\n\
             <title>{title}</title>\n<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#41617f\"/></marker></defs>\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"#ffffff\"/>\n{svg}</svg>\n"
        )
    }
}

fn text_at(x: usize, y: usize, size: usize, anchor: &str, weight: &str, text: &str) -> String {
    format!(
        "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" text-anchor=\"{anchor}\" font-weight=\"{weight}\" fill=\"#1d2b38\">{text}</text>\n"
    )
}

fn arrow(way: &str, style: &str) -> String {
    format!(
        "<path d=\"{way}\" fill=\"none\" stroke=\"#41617f\" stroke-width=\"1.5\" marker-end=\"url(#tip)\"{style}/>\n"
    )
}

/// Words in lines of at most so many characters.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("one at least");
        if line.is_empty() {
            word.clone_into(line);
        } else if line.len() + 1 + word.len() <= most {
            *line = format!("{line} {word}");
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[test]
fn the_pictures_are_drawn_from_their_texts() {
    for name in ["house", "token"] {
        let picture = Picture::read(&format!("docs/pictures/{name}.txt"));
        keep_current(&format!("docs/pictures/{name}.svg"), &picture.draw());
    }
}

/// All source files of a module.
fn sources(at: &Path) -> Vec<PathBuf> {
    if at.is_file() {
        return vec![at.to_owned()];
    }
    let entries = fs::read_dir(at).into_iter().flatten();
    entries
        .flat_map(|entry| sources(&entry.expect("an entry").path()))
        .collect()
}

/// The modules of this crate that a line of code names.
fn used(line: &str) -> Vec<&str> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("crate::")
        .filter(|(at, _)| !code[..*at].ends_with('$'))
        .flat_map(|(at, mark)| {
            let rest = &code[at + mark.len()..];
            let group = rest
                .strip_prefix('{')
                .and_then(|list| list.split('}').next());
            group.map_or_else(
                || vec![rest],
                |list| list.split(',').map(str::trim).collect(),
            )
        })
        .map(|rest| rest.split(|c| !part(c)).next().unwrap_or_default())
        .collect()
}

#[test]
fn the_arrows_of_the_house_are_those_of_the_code() {
    let house = Picture::read("docs/pictures/house.txt");
    let mut rows = BTreeMap::new();
    for (number, (_, cells)) in house.rows.iter().enumerate() {
        for module in cells.iter().flat_map(Cell::modules) {
            rows.insert(module.to_owned(), number);
        }
    }
    let library = read("src/lib.rs");
    let in_library: Vec<&str> = library
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "))
        .filter_map(|rest| rest.strip_suffix(';'))
        .collect();
    let mut drawn: Vec<&str> = rows.keys().map(String::as_str).collect();
    drawn.sort_unstable();
    let mut there = in_library.clone();
    there.sort_unstable();
    assert_eq!(drawn, there, "every module is in the picture");

    let (mut count, mut faults, mut up) = (0, Vec::new(), Vec::new());
    for module in in_library {
        let mut files = sources(&path(&format!("src/{module}")));
        files.extend(sources(&path(&format!("src/{module}.rs"))));
        assert!(!files.is_empty(), "{module}");
        for file in files {
            let text = fs::read_to_string(&file).expect("readable");
            for name in text.lines().flat_map(used).filter(|name| *name != module) {
                count += 1;
                let (own, other) = (rows[module], rows.get(name));
                let neighbours = house.rows[own].1.iter().any(|cell| {
                    cell.modules().any(|one| one == module) && cell.modules().any(|one| one == name)
                });
                let drawn = house
                    .up
                    .iter()
                    .any(|(from, to, _)| from == module && to == name);
                if drawn {
                    up.push((module, name.to_owned()));
                } else if !neighbours && other.is_none_or(|other| *other <= own) {
                    faults.push(format!("{}: {module} uses {name}", file.display()));
                }
            }
        }
    }
    assert!(count > 200, "only {count} uses were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for (from, to, _) in &house.up {
        assert!(
            up.iter().any(|(one, two)| one == from && two == to),
            "{from} -> {to} is drawn and not there"
        );
    }
}
