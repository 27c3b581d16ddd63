//! Finds public items by their path, as in `quorate_consensus::raft::Status::commit_index`.

use crate::tree::Tree;

/// Returns whether a crate of the workspace has the public item that `path` names: a type, a
/// function, a method, a field or a variant.
pub(super) fn exists(tree: &Tree, path: &str) -> bool {
    let names: Vec<_> = path.split("::").collect();
    let [package, modules @ .., last] = &names[..] else { return false };
    let package = package.replace('_', "-");
    let Some(package) = tree.packages().find(|it| it.name() == package) else { return false };
    // A type may come between the modules and what is in it.
    let (modules, owner) = match modules {
        [modules @ .., owner] if is_type(owner) => (modules, Some(owner)),
        _ => (modules, None),
    };
    let within = [&["src"], modules].concat().join("/");
    let within = format!("{}/{within}", package.dir);
    let files = || {
        let is_here = |path: &str| {
            path.strip_prefix(&within).is_some_and(|it| it.starts_with('/') || it == ".rs")
        };
        tree.files().filter(move |(path, _)| path.ends_with(".rs") && is_here(path))
    };
    match owner {
        None => files().any(|(_, text)| text.lines().any(|line| declares(line, last))),
        Some(owner) => {
            let blocks = || files().filter_map(|(_, text)| block(text, owner));
            let is_named_in = |block: &str| block.lines().any(|line| is_member(line, last));
            let has_method = |(_, text): (&str, &str)| {
                let owns = |line: &str| line.starts_with("impl") && has_word(line, owner);
                text.lines().any(owns) && text.lines().any(|line| declares(line, last))
            };
            blocks().any(is_named_in) || (blocks().next().is_some() && files().any(has_method))
        }
    }
}

/// Returns whether `text` has `word`, and not only as a part of a longer one.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !is_of_a_word(c)).any(|it| it == word)
}

fn is_type(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
}

/// Returns whether the line declares a public item, method or field called `name`.
fn declares(line: &str, name: &str) -> bool {
    let Some(rest) = line.trim_start().strip_prefix("pub ") else { return false };
    if rest.strip_prefix(name).is_some_and(|it| it.starts_with(':')) {
        return true;
    }
    let words: Vec<_> = rest.split(|c: char| !is_of_a_word(c)).take(4).collect();
    words.windows(2).any(|pair| KEYWORDS.contains(&pair[0]) && pair[1] == name)
}

/// Returns the text of the public type or trait called `name`, if it is declared here.
fn block<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| declares(line, name))?;
    let start = text.find(line)?;
    let end = text[start..].find("\n}").map_or(text.len(), |length| start + length);
    Some(&text[start..end])
}

/// Returns whether the line, within its type or trait, declares `name`.
fn is_member(line: &str, name: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("fn ").unwrap_or(line);
    line.strip_prefix(name).is_some_and(|rest| {
        rest.is_empty() || rest.starts_with([':', '(', ',', '<']) || rest.starts_with(" {")
    })
}

const fn is_of_a_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

const KEYWORDS: [&str; 8] = ["struct", "enum", "trait", "type", "fn", "const", "static", "mod"];

#[cfg(test)]
mod tests {
    use super::*;

    const RAFT: &str = "//! Raft.\n\npub struct Raft<S> {\n    /// Doc.\n    pub term: u64,\n    \
        secret: u64,\n}\n\nimpl<S> Raft<S> {\n    pub const fn propose(&self) {}\n    \
        fn hidden(&self) {}\n}\n\npub(crate) struct Inner;\n";
    const BODY: &str = "pub enum Body {\n    /// Doc.\n    Beat {\n        at: u64,\n    },\n    \
        Vote,\n}\n\npub trait Quorum {\n    fn is_met(&self) -> bool;\n}\n\npub fn drive() {}\n";

    #[test]
    fn only_what_is_public_exists() {
        let tree = Tree::of(&[
            ("consensus/Cargo.toml", "[package]\nname = \"quorate-consensus\"\n"),
            ("consensus/src/raft.rs", RAFT),
            ("consensus/src/raft/body.rs", BODY),
            ("consensus/src/paxos.rs", "pub struct Paxos;\n"),
            ("consensus/tests/a.rs", "pub struct Test;\n"),
        ]);
        for (path, expected) in [
            ("quorate_consensus::Raft", true),
            ("quorate_consensus::raft", false),
            ("quorate_consensus::raft::Raft", true),
            ("quorate_consensus::raft::Raft::term", true),
            ("quorate_consensus::raft::Raft::propose", true),
            ("quorate_consensus::raft::Body", true),
            ("quorate_consensus::raft::Body::Beat", true),
            ("quorate_consensus::raft::Body::Vote", true),
            ("quorate_consensus::Quorum::is_met", true),
            ("quorate_consensus::drive", true),
            ("quorate_consensus::Inner", false),
            ("quorate_consensus::raft::Raft::hidden", false),
            ("quorate_consensus::raft::Body::Veto", false),
            ("quorate_consensus::raft::Rafter::term", false),
            ("quorate_consensus::raft::Paxos", false),
            ("quorate_consensus::paxos::Raft", false),
            ("quorate_consensus::Test", false),
            ("quorate_wal::Raft", false),
            ("Raft", false),
        ] {
            assert_eq!(exists(&tree, path), expected, "{path}");
        }
    }

    #[test]
    fn a_word_is_whole() {
        assert!(has_word("n1: -> n2 PreVote term=0", "PreVote"));
        assert!(!has_word("n1: -> n2 PreVote term=0", "Vote"));
        assert!(!has_word("vote_twice", "vote"));
    }
}
