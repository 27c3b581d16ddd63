//! Markup, read back: every tag that is opened is closed, and what is in it.

use std::collections::BTreeMap;

/// An element.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, String>,
    /// The text within, without that of elements within.
    pub(crate) text: String,
    /// The index of what it is in.
    pub(crate) parent: Option<usize>,
}

impl Element {
    pub(crate) fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    pub(crate) fn has_class(&self, class: &str) -> bool {
        self.attribute("class").split(' ').any(|it| it == class)
    }
}

/// Returns the elements that have all of these classes.
pub(crate) fn with_classes<'a>(elements: &'a [Element], classes: &str) -> Vec<&'a Element> {
    let has = |it: &&Element| classes.split(' ').all(|class| it.has_class(class));
    elements.iter().filter(has).collect()
}

/// Reads all elements, in the order in which they begin.
pub(crate) fn read(markup: &str) -> Result<Vec<Element>, String> {
    let mut elements: Vec<Element> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut rest = markup;
    while !rest.is_empty() {
        let near = |rest: &str| rest.chars().take(60).collect::<String>();
        let raw = open.last().filter(|it| RAW.contains(&elements[**it].name.as_str()));
        let end = match raw {
            Some(element) => rest.find(&format!("</{}", elements[*element].name)),
            None => rest.find('<'),
        };
        let (text, tag) = rest.split_at(end.unwrap_or(rest.len()));
        if let Some(element) = open.last() {
            let text = if raw.is_some() { text.to_owned() } else { plain(text)? };
            elements[*element].text.push_str(&text);
        } else if !text.trim().is_empty() {
            return Err(format!("a text that is in nothing: {}", near(text)));
        }
        if tag.is_empty() {
            break;
        }
        let (inside, after) =
            split_tag(tag).ok_or_else(|| format!("an open tag: {}", near(tag)))?;
        rest = after;
        if inside.starts_with('!') {
            continue;
        }
        if let Some(name) = inside.strip_prefix('/') {
            let element = open.pop().map(|it| elements[it].name.as_str());
            if element != Some(name) {
                return Err(format!("</{name}> closes {element:?} at {}", near(tag)));
            }
            continue;
        }
        let is_empty = inside.ends_with('/');
        let mut element = element(inside.trim_end_matches('/'))?;
        element.parent = open.last().copied();
        if !is_empty && !VOID.contains(&element.name.as_str()) {
            open.push(elements.len());
        }
        elements.push(element);
    }
    match open.last() {
        None => Ok(elements),
        Some(element) => Err(format!("<{}> is not closed", elements[*element].name)),
    }
}

/// Splits behind the `>` that is in no quotes, and returns what is between it and the `<`.
fn split_tag(tag: &str) -> Option<(&str, &str)> {
    let mut is_quoted = false;
    let end = tag.find(|char| {
        is_quoted ^= char == '"';
        char == '>' && !is_quoted
    })?;
    Some((&tag[1..end], &tag[end + 1..]))
}

fn element(inside: &str) -> Result<Element, String> {
    let (name, mut rest) = inside.split_once(' ').unwrap_or((inside, ""));
    if name.is_empty() || !name.chars().all(|char| char.is_ascii_alphanumeric()) {
        return Err(format!("a strange tag: {inside}"));
    }
    let mut attributes = BTreeMap::new();
    while !rest.trim().is_empty() {
        let (name, after) = rest.split_once('=').ok_or_else(|| format!("no value: {inside}"))?;
        let after = after.strip_prefix('"').ok_or_else(|| format!("no quotes: {inside}"))?;
        let (value, after) = after.split_once('"').ok_or_else(|| format!("one: {inside}"))?;
        let name = name.trim().to_owned();
        if !name.chars().all(|it| it.is_ascii_alphanumeric() || "-:".contains(it)) {
            return Err(format!("a strange attribute: {inside}"));
        }
        if attributes.insert(name, plain(value)?).is_some() {
            return Err(format!("an attribute twice: {inside}"));
        }
        rest = after;
    }
    Ok(Element { name: name.to_owned(), attributes, ..Element::default() })
}

/// Replaces what stands for a character by the character.
fn plain(text: &str) -> Result<String, String> {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';').ok_or_else(|| format!("a bare &: {text}"))?;
        plain.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "#39" => '\'',
            "nbsp" => '\u{a0}',
            _ => return Err(format!("what is &{name};? {text}")),
        });
        plain.push_str(rest);
    }
    Ok(plain)
}

/// Elements without an end, and those in which nothing but their end is markup.
const VOID: [&str; 2] = ["meta", "input"];
const RAW: [&str; 2] = ["style", "script"];
