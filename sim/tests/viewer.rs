//! What readers see of a recording: in a real browser, in an SVG file, in `ShiViz`, and as a file.
//!
//! `LOOK=folder cargo test -p quorate-sim --test viewer look` leaves the pictures of a story there.

#[path = "viewer/any.rs"]
mod any;
#[path = "viewer/browser.rs"]
mod browser;
#[path = "viewer/clocks.rs"]
mod clocks;
#[path = "viewer/markup.rs"]
mod markup;
#[path = "viewer/page.rs"]
mod page;
#[path = "viewer/reading.rs"]
mod reading;
#[path = "viewer/sha256.rs"]
mod sha256;
#[path = "viewer/story.rs"]
mod story;

use std::fs::{self, File};
use std::path::Path;

use proptest::prelude::*;
use quorate_sim::Recording;

use quorate_sim::recording::{Event, Kind};

use self::markup::{Element, with_classes};

#[test]
fn look() {
    let Some(folder) = std::env::var_os("LOOK") else { return };
    let folder = Path::new(&folder);
    let recording = story::stale_read();
    fs::write(folder.join("story.html"), recording.to_html()).unwrap();
    fs::write(folder.join("story.svg"), recording.to_svg()).unwrap();
    fs::write(folder.join("story.log"), recording.to_shiviz()).unwrap();
    recording.write(File::create(folder.join("trace.jsonl")).unwrap()).unwrap();
}

/// Returns how many events of the recording are so.
fn count(recording: &Recording, is_so: impl Fn(&Kind) -> bool) -> usize {
    recording.events.iter().filter(|event| is_so(&event.kind)).count()
}

/// Asserts that everything in the recording is there, once.
fn check_parts(recording: &Recording, elements: &[Element], titles_besides: usize) {
    let of = |classes: &str| with_classes(elements, classes).len();
    let received = count(recording, |it| matches!(it, Kind::Recv { .. }));
    let lost = count(recording, |it| matches!(it, Kind::Lost { .. }));
    let badges = count(recording, |it| matches!(it, Kind::Badge { .. }));
    let operations = count(recording, |it| matches!(it, Kind::Invoke { .. }));
    let faults = count(recording, |it| matches!(it, Kind::Fault { .. }));
    // Those of the legend have no title, and are in no picture.
    let drawn: Vec<_> =
        elements.iter().filter(|it| it.attributes.contains_key("data-m")).cloned().collect();
    assert_eq!(with_classes(&drawn, "m arrow").len(), received);
    assert_eq!(with_classes(&drawn, "m lost").len(), lost);
    assert_eq!(with_classes(&drawn, "m open").len(), 0);
    assert_eq!(of("head node"), recording.nodes.len());
    assert_eq!(of("lane node"), recording.nodes.len());
    assert_eq!((of("head client"), of("lane client")), (operations, operations));
    assert_eq!(of("op"), operations);
    assert_eq!(of("e"), recording.events.len());
    let titled = |classes: &str| {
        let has_title =
            |at: usize| elements.iter().any(|it| it.parent == Some(at) && it.name == "title");
        let all = elements.iter().enumerate().filter(|(_, it)| it.has_class(classes));
        all.filter(|(at, _)| has_title(*at)).count()
    };
    assert_eq!(titled("role"), badges);
    assert_eq!(titled("fault"), faults);
    assert_eq!((titled("down"), titled("paused")), (1, 1));
    let titles = elements.iter().filter(|it| it.name == "title").count();
    let heads = recording.nodes.len() + operations;
    let events = recording.events.len();
    let bands = badges + faults + operations + 2;
    assert_eq!(titles, titles_besides + heads + events + received + lost + bands);
    assert_eq!(of("k-violation"), 1);
    assert_eq!(elements.iter().filter(|it| it.attribute("id") == "violation").count(), 1);
}

#[test]
fn everything_that_happened_is_drawn_once() {
    let recording = story::stale_read();
    check_parts(&recording, &markup::read(&recording.to_html()).unwrap(), 1);
    check_parts(&recording, &markup::read(&recording.to_svg()).unwrap(), 1);
}

#[test]
fn a_message_that_arrives_again_has_two_arrows() {
    let recording = story::stale_read();
    let elements = markup::read(&recording.to_svg()).unwrap();
    let again = with_classes(&elements, "m again");
    assert_eq!(again.len(), 1);
    let id = again[0].attribute("data-m");
    let mut arrows = with_classes(&elements, "m arrow");
    // Those of the legend are of no message.
    arrows.retain(|it| it.attributes.contains_key("data-m"));
    assert_eq!(arrows.iter().filter(|it| it.attribute("data-m") == id).count(), 2);
    let sends: Vec<_> = arrows.iter().map(|it| it.attribute("data-a")).collect();
    assert!(sends.iter().all(|half| half.parse::<usize>().unwrap() % 2 == 1));
}

#[test]
fn an_operation_without_a_known_end_has_no_end() {
    let recording = story::stale_read();
    let elements = markup::read(&recording.to_svg()).unwrap();
    let (at, _) = elements.iter().enumerate().find(|(_, it)| it.has_class("info")).unwrap();
    let end = (2 * recording.events.len()).to_string();
    let parts: Vec<_> = elements.iter().filter(|it| it.parent == Some(at)).collect();
    assert_eq!(parts.iter().filter(|it| it.attribute("data-b") == end).count(), 1);
    assert_eq!(with_classes(&elements, "op ok").len(), 3);
}

#[test]
fn a_file_asks_for_nothing_and_runs_nothing_but_its_script() {
    let html = story::stale_read().to_html();
    for needle in ["http:", "https:", "//\"", "src=", "url(", "@import", "<link", "<iframe"] {
        assert!(!html.contains(needle), "{needle}");
    }
    let elements = markup::read(&html).unwrap();
    for element in &elements {
        assert!(element.attributes.keys().all(|it| !it.starts_with("on") && it != "style"));
        assert!(element.attribute("href").is_empty() || element.attribute("href").starts_with('#'));
    }
    let scripts: Vec<_> = elements.iter().filter(|it| it.name == "script").collect();
    let policy = elements.iter().find_map(|it| it.attributes.get("content")).unwrap();
    let hash = format!("script-src 'sha256-{}'", sha256::base64(&scripts[0].text));
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(policy.contains(&hash), "{policy}: set SCRIPT_HASH to {hash}");
    assert_eq!(scripts.len(), 1);
    assert!(scripts[0].text.lines().count() < 200);

    let svg = story::stale_read().to_svg();
    for needle in ["src=", "url(", "href", "<script", "@import"] {
        assert!(!svg.contains(needle), "{needle}");
    }
}

#[test]
fn a_file_is_the_same_each_time() {
    assert_eq!(story::stale_read().to_html(), story::stale_read().to_html());
    assert_eq!(story::stale_read().to_svg(), story::stale_read().to_svg());
}

/// A recording of so many events, with a violation at one of them.
fn long(count: u64, violation: Option<u64>) -> Recording {
    let mut recording = Recording::new("long", 1, serde_json::Value::Null);
    for id in 1..=3 {
        recording = recording.node(id, format!("n{id}"));
    }
    for at in 0..count {
        let (id, class, text) = (at / 2, "Beat".to_owned(), format!("term {at}"));
        let (from, to) = (1 + id % 3, 1 + (id + 1) % 3);
        let (node, kind) = match at % 2 {
            _ if violation == Some(at) => (None, Kind::Violation { law: "a law".to_owned(), text }),
            0 => (Some(from), Kind::Send { id, to, class, text }),
            _ => (Some(to), Kind::Recv { id, from, class, text }),
        };
        recording.push(Event::new(at * 1_000, node, kind));
    }
    recording
}

#[test]
fn ten_thousand_events_are_drawn_around_the_violation_or_the_last() {
    let times = |svg: &str| {
        let elements = markup::read(svg).unwrap();
        let events = with_classes(&elements, "e");
        let time = |it: &Element| it.attribute("data-t").parse::<u64>().unwrap() / 1_000;
        (events.len(), time(events[0]), time(events[events.len() - 1]))
    };
    let last = long(50_000, None).to_svg();
    assert_eq!(times(&last), (10_000, 40_000, 49_999));
    assert!(last.contains("10000 are drawn, 40000 are not: 40000 before, 0 after"));
    let around = long(50_000, Some(20_000)).to_svg();
    assert_eq!(times(&around), (10_000, 11_000, 20_999));
    assert!(around.contains("40000 are not: 11000 before, 29000 after"));
    let first = long(50_000, Some(10)).to_html();
    assert_eq!(times(&first), (10_000, 0, 9_999));
    assert!(first.len() < 10_000_000, "{}", first.len());
    assert!(!long(10_000, None).to_svg().contains("are not:"));
}

#[test]
fn what_began_before_the_window_is_drawn_from_its_edge() {
    let mut recording = Recording::new("edge", 1, serde_json::Value::Null).node(1, "n1");
    let text = String::new;
    let role = "leader".to_owned();
    recording.push(Event::new(1, 1, Kind::Badge { role, number: 7 }));
    recording.push(Event::new(2, None, Kind::Invoke { process: 1, op: 1, text: text() }));
    let (id, family) = (1, "Split".to_owned());
    let kind = Kind::Fault { id, family, nodes: vec![1], from: 2, until: None, text: text() };
    recording.push(Event::new(2, None, kind));
    for at in 0..10_000 {
        recording.push(Event::new(10 + at, 1, Kind::Note { text: text() }));
    }
    recording.push(Event::new(20_000, None, Kind::Ok { process: 1, op: 1, text: text() }));
    let elements = markup::read(&recording.to_svg()).unwrap();
    let place = |classes: &str| {
        let (at, _) = elements
            .iter()
            .enumerate()
            .find(|(at, it)| {
                let has_title =
                    elements.iter().any(|it| it.parent == Some(*at) && it.name == "title");
                classes.split(' ').all(|class| it.has_class(class)) && has_title
            })
            .unwrap();
        let part = |it: &&Element| it.parent == Some(at) && it.name == "rect";
        let rect = elements.iter().find(part).unwrap();
        (rect.attribute("data-a").to_owned(), rect.attribute("data-b").to_owned())
    };
    let all = ("0".to_owned(), "20000".to_owned());
    assert_eq!(place("role r0"), all);
    assert_eq!(place("fault"), all);
    assert_eq!(place("op ok"), ("0".to_owned(), "19999".to_owned()));
}

#[test]
fn a_later_word_about_a_fault_takes_the_place_of_the_first() {
    let mut recording = Recording::new("fault", 1, serde_json::Value::Null);
    let fault = |until| {
        let (family, text) = ("Split".to_owned(), String::new());
        Kind::Fault { id: 3, family, nodes: vec![2], from: 5, until, text }
    };
    for id in 1..=3 {
        recording = recording.node(id, format!("n{id}"));
    }
    for at in 0..10 {
        recording.push(Event::new(at, 1, Kind::Note { text: String::new() }));
    }
    recording.push(Event::new(5, None, fault(None)));
    recording.push(Event::new(8, None, fault(Some(8))));
    let elements = markup::read(&recording.to_svg()).unwrap();
    let faults: Vec<_> =
        elements.iter().filter(|it| it.attributes.contains_key("data-s")).collect();
    let rects: Vec<_> = faults.iter().filter(|it| it.name == "rect").collect();
    assert_eq!(rects.len(), 1);
    // Six events before it began, with its own; three while it lasted.
    assert_eq!((rects[0].attribute("data-a"), rects[0].attribute("data-b")), ("10", "18"));
    assert_eq!((rects[0].attribute("data-s"), rects[0].attribute("data-u")), ("5", "8"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_texts_make_a_sound_page(recording in any::recording(40)) {
        let html = recording.to_html();
        let elements = markup::read(&html).map_err(TestCaseError::fail)?;
        let scripts = elements.iter().filter(|it| it.name == "script").count();
        prop_assert_eq!(scripts, 1);
        prop_assert_eq!(with_classes(&elements, "e").len(), recording.events.len());
        for element in &elements {
            prop_assert!(KNOWN.contains(&element.name.as_str()), "{}", element.name);
            for name in element.attributes.keys() {
                prop_assert!(!name.starts_with("on") && name != "style" && name != "src");
            }
            let href = element.attribute("href");
            prop_assert!(href.is_empty() || href.starts_with('#'));
        }
    }

    #[test]
    fn any_texts_make_a_sound_picture(recording in any::recording(40)) {
        let svg = recording.to_svg();
        let elements = markup::read(&svg).map_err(TestCaseError::fail)?;
        prop_assert_eq!(&elements[0].name, "svg");
        prop_assert!(elements[1..].iter().all(|it| it.parent.is_some()));
        prop_assert_eq!(with_classes(&elements, "e").len(), recording.events.len());
        for char in svg.chars() {
            let is_of_xml = matches!(char, '\n' | ' '..='\u{fffd}' | '\u{10000}'..);
            prop_assert!(is_of_xml, "{char:?} is no character of XML");
        }
    }
}

/// All elements that a page may have.
const KNOWN: [&str; 32] = [
    "html", "head", "meta", "title", "style", "body", "header", "h1", "p", "a", "ul", "li",
    "details", "summary", "pre", "form", "input", "label", "output", "div", "main", "script",
    "svg", "g", "rect", "line", "path", "text", "tspan", "br", "span", "section",
];
