//! The page in a real browser.

use quorate_sim::Recording;

use quorate_sim::recording::{Event, Kind};

use super::any::NASTY;
use super::browser::Browser;
use super::markup::{self, Element, with_classes};
use super::{check_parts, story};

/// Returns the times of the events that are shown, and whether each is.
fn shown(dom: &str) -> Vec<bool> {
    let elements = markup::read(dom).expect("markup");
    with_classes(&elements, "e").iter().map(|it| !it.has_class("off")).collect()
}

#[test]
fn a_browser_shows_everything_and_complains_about_nothing() {
    let recording = story::stale_read();
    let Some(browser) = Browser::new(&recording.to_html()) else { return };
    let page = browser.open("");
    assert_eq!(page.console, Vec::<String>::new());
    let elements = markup::read(&page.dom).unwrap();
    check_parts(&recording, &elements, 1);
    assert!(elements[0].has_class("js"), "the script did not run");
    assert!(shown(&page.dom).iter().all(|is_shown| *is_shown));
}

/// A filter, and what it must leave.
type Case = (&'static str, fn(&Event) -> bool);

#[test]
fn a_filter_leaves_what_matches_and_nothing_else() {
    let recording = story::stale_read();
    let Some(browser) = Browser::new(&recording.to_html()) else { return };
    let cases: [Case; 7] = [
        ("#filter=class:Append", |it| it.kind.message().is_some_and(|it| it.1 == "Append")),
        ("#filter=kind:lost,crash%20-node:n3", |it| {
            ["lost", "crash"].contains(&it.kind.name()) && it.node != Some(3)
        }),
        ("#filter=node:N2&from=5ms&to=10150us", |it| {
            it.node == Some(2) && (5_000_000..10_150_000).contains(&it.at)
        }),
        ("#from=31320000", |it| 31_320_000 <= it.at),
        ("#filter=%22entry%202%22+class:yes,append&axis=time", |it| {
            let (class, text) = (it.kind.message().map(|it| it.1), it.kind.text());
            text.contains("entry 2") && class.is_some_and(|it| ["Yes", "Append"].contains(&it))
        }),
        ("#filter=%3Cimg%20src=x%20onerror=alert(1)%3E", |_| false),
        ("#filter=node:c2,world", |it| {
            it.kind.operation().is_some_and(|it| it.0 == 2)
                || matches!(it.kind, Kind::Fault { .. } | Kind::Violation { .. })
        }),
    ];
    for (fragment, is_shown) in cases {
        let page = browser.open(fragment);
        assert_eq!(page.console, Vec::<String>::new(), "{fragment}");
        let expected: Vec<_> = recording.events.iter().map(is_shown).collect();
        assert_eq!(shown(&page.dom), expected, "{fragment}");
        check_lanes_and_messages(&page.dom, fragment);
    }
}

/// Lanes without a shown event are dimmed; messages without a shown end are hidden.
fn check_lanes_and_messages(dom: &str, fragment: &str) {
    let elements = markup::read(dom).expect("markup");
    let events = with_classes(&elements, "e");
    let is_shown = |it: &&&Element| !it.has_class("off");
    let busy: Vec<_> = events.iter().filter(is_shown).map(|it| it.attribute("data-n")).collect();
    for lane in with_classes(&elements, "lane") {
        let is_busy = busy.contains(&lane.attribute("data-n"));
        assert_eq!(lane.has_class("dim"), !is_busy, "{fragment}: {lane:?}");
    }
    for message in elements.iter().filter(|it| it.has_class("m") && it.has_class("arrow")) {
        let Some(id) = message.attributes.get("data-m") else { continue };
        let ends: Vec<_> = events.iter().filter(|it| it.attribute("data-m") == id).collect();
        let end = |half: &str| ends.iter().find(|it| it.attribute("data-a") == half);
        let (a, b) = (message.attribute("data-a"), message.attribute("data-b"));
        let shown = [a, b].iter().filter_map(|half| end(half)).filter(|it| is_shown(it)).count();
        assert_eq!(message.has_class("off"), shown == 0, "{fragment}: {message:?}");
        assert_eq!(message.has_class("part"), shown == 1, "{fragment}: {message:?}");
    }
}

#[test]
fn a_hostile_text_stays_a_text() {
    let mut recording = Recording::new(NASTY[0], 1, serde_json::json!({ NASTY[1]: NASTY[0] }));
    for (id, text) in (1..).zip(NASTY) {
        recording = recording.node(id, text);
    }
    for (at, text) in (1..).zip(NASTY.map(str::to_owned)) {
        let (class, role, family, law) = (text.clone(), text.clone(), text.clone(), text.clone());
        let (id, to) = (at, 1 + at % 3);
        for kind in [
            Kind::Badge { role, number: at },
            Kind::Send { id, to, class, text: text.clone() },
            Kind::Invoke { process: at, op: 1, text: text.clone() },
            Kind::Fault { id, family, nodes: vec![at], from: at, until: None, text: text.clone() },
            Kind::Violation { law, text },
        ] {
            recording.push(Event::new(at, at, kind));
        }
    }
    let Some(browser) = Browser::new(&recording.to_html()) else { return };
    for fragment in ["", "#filter=%22%3E%3Cscript%3Edocument.title=1%3C/script%3E"] {
        let page = browser.open(fragment);
        assert_eq!(page.console, Vec::<String>::new());
        let elements = markup::read(&page.dom).unwrap();
        let of = |name: &str| elements.iter().filter(|it| it.name == name).count();
        assert_eq!((of("script"), of("img"), of("b"), of("body")), (1, 0, 0, 1));
        let title = elements.iter().find(|it| it.name == "title").unwrap();
        assert_eq!(title.text, NASTY[0]);
        assert_eq!(with_classes(&elements, "e").len(), recording.events.len());
        assert!(elements.iter().all(|it| it.attributes.keys().all(|it| !it.starts_with("on"))));
    }
}

#[test]
fn a_long_page_opens() {
    let Some(browser) = Browser::new(&super::long(50_000, Some(20_000)).to_html()) else { return };
    let page = browser.open("#filter=node:n2");
    assert_eq!(page.console, Vec::<String>::new());
    let shown = shown(&page.dom);
    assert_eq!(shown.len(), 10_000);
    let count = shown.iter().filter(|is_shown| **is_shown).count();
    assert!((3_300..3_400).contains(&count), "{count}");
}

#[test]
fn a_screenshot_is_not_blank() {
    let Some(browser) = Browser::new(&story::stale_read().to_html()) else { return };
    // With a fragment the page stays at its top: pictures are taken from there.
    let light = browser.screenshot("#to=1s", false);
    let dark = browser.screenshot("#to=1s", true);
    let blank = Browser::new("<!doctype html><title>blank</title>").unwrap().screenshot("", false);
    for picture in [&light, &dark] {
        assert!(picture.starts_with(b"\x89PNG\r\n"));
        // A picture of nothing compresses well.
        assert!(4 * blank.len() < picture.len(), "{} of {}", picture.len(), blank.len());
    }
    assert_ne!(light, dark);
}
