//! Every duty and every message of a protocol has its place in a story.

use crate::patterns::has_word;
use crate::tree::{Package, Tree};

/// Returns the duties and messages that no script shows.
pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for package in tree.packages().filter(Package::is_published) {
        let sources: Vec<_> = tree.below(&format!("{}/src", package.dir)).collect();
        let protocols = sources.iter().filter(|(_, text)| super::is_protocol(text));
        let scripts: String =
            tree.below(&format!("{}/tests/scripts", package.dir)).map(|(_, text)| text).collect();
        for (path, text) in protocols {
            check_duties(path, text, &scripts, &mut findings);
            let kinds = sources.iter().filter(|(_, text)| text.lines().any(is_kinds));
            for (path, text) in kinds {
                check_messages(path, text, &scripts, &mut findings);
            }
        }
    }
    findings
}

/// A script prints `n1: persist #1 term=1` for what a core asks of its driver.
fn check_duties(path: &str, text: &str, scripts: &str, findings: &mut Vec<String>) {
    for (kind, word) in DUTIES {
        let is_unused = text.contains(&format!("type {kind} = Infallible;"));
        let starts = [format!(": {word} "), format!("\n{word} ")];
        if !is_unused && !starts.iter().any(|start| scripts.contains(start)) {
            findings.push(format!("{path}:1: no script shows `{word}`, tell a story with one"));
        }
    }
}

/// A script prints a message by the name of its variant.
fn check_messages(path: &str, text: &str, scripts: &str, findings: &mut Vec<String>) {
    let lines = text.lines().enumerate().skip_while(|(_, line)| !is_kinds(line)).skip(1);
    for (index, line) in lines.take_while(|(_, line)| *line != "}") {
        let Some(name) = variant(line) else { continue };
        if !has_word(scripts, name) {
            let at = index + 1;
            findings.push(format!("{path}:{at}: no script shows `{name}`, tell a story with one"));
        }
    }
}

/// Returns whether the line begins the list of all messages.
fn is_kinds(line: &str) -> bool {
    ["pub enum Body {", "pub enum Message {"].contains(&line)
}

fn variant(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("    ").filter(|rest| rest.starts_with(char::is_uppercase))?;
    rest.split([' ', '(', ',', '{']).next()
}

/// What a protocol may ask for, by the kind that says whether it does.
const DUTIES: &[(&str, &str)] = &[
    ("Message", "->"),
    ("Record", "persist"),
    ("Query", "fetch"),
    ("Delivery", "deliver"),
    ("Event", "event"),
];

#[cfg(test)]
mod tests {
    use super::super::expect;
    use super::*;

    const CORE: &str = "//! R.\n\nimpl Protocol for Raft {\n    type Message = Message;\n    \
        type Query = Infallible;\n}\n";
    const KINDS: &str = "//! M.\n\npub enum Body {\n    /// Doc.\n    Vote {\n        granted: \
        bool,\n    },\n    Beat(u64),\n}\n";
    const STORY: &str = "deliver\n---\nn1: -> n2 Vote granted=true\nn1: persist #1 term=1\n\
        n1: -> n2 Beat round=1\nn1: deliver Committed\nn1: event RoleChanged\n";

    #[test]
    fn every_duty_and_message_can_be_untold() {
        let finds = |story: &str, rules: &[&str]| {
            let files = [
                ("a/Cargo.toml", "[package]\n"),
                ("a/src/message.rs", KINDS),
                ("a/src/raft.rs", CORE),
                ("a/tests/scripts/votes", story),
            ];
            expect(check, &files, rules);
        };
        finds(STORY, &[]);
        finds(&STORY.replace("Vote", "PreVote"), &["a/src/message.rs:5: no script shows `Vote`"]);
        finds(&STORY.replace("Beat", "BeatReply"), &["no script shows `Beat`"]);
        finds(&STORY.replace("persist", "keep"), &["no script shows `persist`"]);
        finds(&STORY.replace(": deliver ", ": "), &["no script shows `deliver`"]);
        finds(&STORY.replace("event", "news"), &["no script shows `event`"]);
        finds(&STORY.replace("->", "to"), &["no script shows `->`"]);
    }

    #[test]
    fn what_is_no_protocol_has_no_story() {
        expect(check, &[("a/Cargo.toml", "[package]\n"), ("a/src/message.rs", KINDS)], &[]);
    }
}
