//! Tables for people, JSON lines for programs.

use std::io::{self, Write as _};

use prost_types::Timestamp;
use serde_json::Value;

use super::exit::Outcome;

/// Items that a command asks for at a time: as many as there may be.
pub const PAGE_SIZE: u32 = 1000;

/// Prints rows under headings, each column as wide as its widest cell.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([headings[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let mut out = io::stdout().lock();
    let headings = headings.iter().map(|heading| heading.to_uppercase()).collect();
    for row in std::iter::once(&headings).chain(rows) {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    out.flush()
}

/// Prints a list that comes in pages: a JSON line for each item as it comes, or one table of all. `page` answers the
/// items behind a page token, and the next token; none is empty.
pub async fn list<T>(
    json: bool,
    headings: &[&str],
    as_json: impl Fn(&T) -> Value,
    row: impl Fn(&T) -> Vec<String>,
    mut page: impl AsyncFnMut(String) -> Outcome<(Vec<T>, String)>,
) -> Outcome {
    let (mut rows, mut page_token) = (Vec::new(), String::new());
    loop {
        let (items, next) = page(page_token).await?;
        for item in &items {
            if json {
                self::json(&as_json(item))?;
            } else {
                rows.push(row(item));
            }
        }
        page_token = next;
        if page_token.is_empty() {
            break;
        }
    }
    if !json {
        table(headings, &rows)?;
    }
    Ok(())
}

/// Prints one JSON value in a line.
pub fn json(value: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value}")?;
    out.flush()
}

/// Prints a line that is the command's answer.
pub fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// A time for people; a dash when there is none.
pub fn time(time: Option<&Timestamp>) -> String {
    time.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// A time for programs: RFC 3339, or null.
pub fn json_time(time: Option<&Timestamp>) -> Value {
    time.map_or(Value::Null, |time| Value::String(time.to_string()))
}

/// Without control characters: what others wrote must not drive the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
