//! The page: the picture in one file, with a filter, and without a network.

use std::fmt::{self, Write as _};

use super::layout::Layout;
use super::svg::{self, Picture};
use super::words::Escaped;
use super::{Kind, Recording};

impl Recording {
    /// Draws the run as one HTML file that needs no network.
    ///
    /// It shows what [`to_svg`](Self::to_svg) shows. With scripts allowed, a box filters the events
    /// by words, `node:n1`, `class:Append`, `kind:recv,lost`, or the opposite with a `-` in front;
    /// a window of time has the two bounds beside it, the first inclusive; and a switch puts events
    /// where they belong in time instead of in rows. The view is in the address, as in
    /// `#filter=class:Append&from=1.5s&to=2s`. The page opens at the first violation.
    ///
    /// No text of the recording becomes markup, and the page allows no script but its own.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "a string takes all")]
    pub fn to_html(&self) -> String {
        let layout = Layout::new(self);
        let mut out = String::new();
        page(self, &layout, &mut out).expect("a string takes all");
        out
    }
}

fn page(recording: &Recording, layout: &Layout<'_>, out: &mut String) -> fmt::Result {
    let picture = Picture::new(layout);
    let name = Escaped(&recording.name);
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; script-src '{SCRIPT_HASH}'; base-uri 'none'; \
         form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{name}</title>\n<style>\n{}</style>\n</head>\n<body>\n<header>\n<h1>{name}</h1>\n\
         <p class=\"facts\">{}</p>\n",
        svg::STYLE,
        Escaped(&svg::facts(recording, layout)),
    )?;
    violation(layout, out)?;
    out.write_str("<ul class=\"legend\">\n")?;
    for item in picture.legend() {
        out.write_str("<li><svg width=\"16\" height=\"16\" viewBox=\"0 -8 16 16\">")?;
        item.swatch(out)?;
        let name = Escaped(item.name);
        match &item.filter {
            Some(filter) => {
                let filter = fragment(filter);
                writeln!(out, "</svg><a href=\"#filter={filter}\">{name}</a></li>")?;
            }
            None => writeln!(out, "</svg>{name}</li>")?,
        }
    }
    let plan = serde_json::to_string_pretty(&recording.plan).unwrap_or_default();
    let (width, height) = (picture.width(), picture.height());
    write!(
        out,
        "</ul>\n<details><summary>Plan</summary><pre>{}</pre></details>\n</header>\n{FORM}\
         <div class=\"heads\"><svg width=\"{width}\" height=\"{}\">\n",
        Lines(&plan),
        svg::HEAD,
    )?;
    picture.heads(out)?;
    write!(
        out,
        "</svg></div>\n<main><svg class=\"picture\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n"
    )?;
    picture.body(out)?;
    write!(out, "</svg></main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n")
}

/// Says what went wrong first, if anything did.
fn violation(layout: &Layout<'_>, out: &mut String) -> fmt::Result {
    let laws = layout.rows.iter().find_map(|row| match &row.event.kind {
        Kind::Violation { law, text } => Some((law, text)),
        _ => None,
    });
    let Some((law, text)) = laws else { return Ok(()) };
    let law = if law.is_empty() { "A law was broken" } else { law };
    writeln!(
        out,
        "<p class=\"broken\"><a href=\"#violation\">{}</a>\n{}</p>",
        Escaped(law),
        Lines(text)
    )
}

/// A text of several lines.
struct Lines<'a>(&'a str);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.0.lines().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{}", Escaped(line))?;
        }
        Ok(())
    }
}

/// Returns a text as a part of an address.
fn fragment(text: &str) -> String {
    let mut fragment = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b":_.-".contains(&byte) {
            fragment.push(char::from(byte));
        } else {
            let _ = write!(fragment, "%{byte:02X}");
        }
    }
    fragment
}

const FORM: &str = "<form><input id=\"filter\" aria-label=\"Filter\" autocomplete=\"off\" \
    spellcheck=\"false\" placeholder=\"words, node:n1 class:Append -kind:timeout\">\
    <input id=\"from\" aria-label=\"From\" autocomplete=\"off\" placeholder=\"from 1.5s\">\
    <input id=\"to\" aria-label=\"To\" autocomplete=\"off\" placeholder=\"to 2s\">\
    <label><input id=\"axis\" type=\"checkbox\"> true time</label>\
    <output id=\"shown\"></output></form>\n";

const SCRIPT: &str = include_str!("viewer.js");

/// What the page allows to run: `SCRIPT` and nothing else. A test computes it.
const SCRIPT_HASH: &str = "sha256-oF6+bEMaiegSLHlmq4GsXfR1XtbNhlRrSzNfC4LFbyo=";
