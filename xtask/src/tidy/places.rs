//! No file names a place that only one machine has.

use crate::tree::Tree;

/// Returns the lines that name a home or a folder of work.
pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, text) in tree.files() {
        for (index, line) in text.lines().enumerate() {
            if PLACES.iter().any(|place| names(line, place)) {
                let at = index + 1;
                findings.push(format!("{name}:{at}: a path of one machine, say it from the root"));
            }
        }
    }
    findings
}

/// Returns whether `line` holds `place` at the start of a path.
fn names(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|it| it.is_alphanumeric() || "-_.)}".contains(it))
    })
}

// In parts, so that the rule does not find itself.
const PLACES: [&str; 5] = [
    concat!("/", "work/"),
    concat!("/", "root/"),
    concat!("/", "home/"),
    concat!("/", "Users/"),
    concat!("/", "tmp/wt"),
];

#[cfg(test)]
mod tests {
    use super::super::expect;
    use super::*;

    #[test]
    fn a_place_of_one_machine_is_found_in_any_file() {
        for place in PLACES {
            let line = format!("See {place}notes.md.\n");
            expect(check, &[("a/README.md", &line)], &["README.md:1: a path of one machine"]);
            let line = format!("//! A.\n\nconst P: &str = \"{place}x\";\n");
            expect(check, &[("a.rs", &line)], &["a.rs:3: a path of one machine"]);
        }
    }

    #[test]
    fn a_folder_within_another_is_none() {
        let line = format!("target{0}out, https://example.org{0}a\n", concat!("/", "work/"));
        expect(check, &[("a.md", &line)], &[]);
        expect(check, &[("a.md", "/tmp/other, a/b, 1/2\n")], &[]);
    }
}
