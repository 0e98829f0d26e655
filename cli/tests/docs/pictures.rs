//! Pictures drawn from text: `docs/pictures/NAME.txt` becomes `NAME.svg`.

use std::fmt::Write as _;

use crate::pages::{keep_current, read};

const WIDTH: usize = 960;
const MARGIN: usize = 20;
const GAP: usize = 28;
const LINE: usize = 15;
/// Colors, fonts and the tip of an arrow.
const STYLE: &str = include_str!("../../../docs/pictures/style.txt");

/// A box: its name, and what it is in a few words.
pub struct Cell {
    pub name: String,
    text: String,
}

impl Cell {
    fn is_outside(&self) -> bool {
        self.name.starts_with('(')
    }

    /// The modules that it stands for.
    pub fn modules(&self) -> impl Iterator<Item = &str> {
        self.name.split('+').filter(|_| !self.is_outside())
    }
}

/// A picture as it is written down.
#[derive(Default)]
pub struct Picture {
    title: String,
    /// Rows with the line above each, which is empty where rows are layers.
    pub rows: Vec<(String, Vec<Cell>)>,
}

impl Picture {
    pub fn read(name: &str) -> Picture {
        let mut picture = Picture::default();
        let mut head = String::new();
        for line in read(name).lines().filter(|line| !line.starts_with('#')) {
            if let Some(title) = line.strip_prefix("title ") {
                picture.title = title.into();
            } else if let Some(text) = line.strip_prefix("row ") {
                head = text.into();
            } else {
                let cells = line.split(" | ").map(|cell| {
                    let (name, text) = cell.split_once(": ").expect("name: text");
                    let (name, text) = (name.into(), text.into());
                    Cell { name, text }
                });
                let row = (std::mem::take(&mut head), cells.collect());
                picture.rows.push(row);
            }
        }
        picture
    }

    /// As SVG, on a background of its own, so that it is readable in light and dark surroundings.
    fn draw(&self) -> String {
        let is_layers = self.rows.iter().all(|(head, _)| head.is_empty());
        let right = WIDTH - MARGIN;
        let mut svg = text_at(WIDTH / 2, 30, "title", &self.title);
        let mut y = 50;
        for (number, (head, cells)) in self.rows.iter().enumerate() {
            if !head.is_empty() {
                y += 12;
                svg += &text_at(MARGIN, y + 12, "head", head);
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
                let class = if cell.is_outside() { "out" } else { "in" };
                let _ = writeln!(
                    svg,
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"5\" class=\"{class}\"/>"
                );
                let name = cell.name.trim_matches(['(', ')']).replace('+', ", ");
                svg += &text_at(x + width / 2, y + 19, "name", &name);
                for (line, text) in lines.iter().enumerate() {
                    svg += &text_at(x + width / 2, y + 36 + line * LINE, "what", text);
                }
                if !is_layers && at > 0 {
                    let middle = y + height / 2;
                    svg += &arrow(&format!("M{} {middle}H{}", x - gap + 2, x - 3), "on");
                }
            }
            y += height;
            if is_layers && number + 1 < self.rows.len() {
                let middle = usize::midpoint(MARGIN, right);
                svg += &arrow(&format!("M{middle} {}V{}", y + 2, y + 17), "on");
                y += 20;
            }
        }
        let (height, title) = (y + MARGIN, &self.title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n<title>{title}</title>\n{STYLE}<rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"#ffffff\"/>\n{svg}</svg>\n"
        )
    }
}

fn text_at(x: usize, y: usize, class: &str, text: &str) -> String {
    format!("<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{text}</text>\n")
}

fn arrow(way: &str, class: &str) -> String {
    format!("<path d=\"{way}\" class=\"{class}\" marker-end=\"url(#tip)\"/>\n")
}

/// Words in lines of at most this many characters.
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
