//! A link from one document to another leads somewhere.

use crate::tree::Tree;

/// Returns the links in documents that lead nowhere.
pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, text) in tree.files().filter(|(name, _)| name.ends_with(".md")) {
        for (index, line) in text.lines().enumerate() {
            for target in targets(line).filter(|target| !leads(tree, name, target)) {
                findings.push(format!("{name}:{}: there is no `{target}`", index + 1));
            }
        }
    }
    findings
}

/// Returns where the links of a line lead, but for those to other sites and to items of Rust.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let ends = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    ends.filter(|it| !it.is_empty() && !it.contains("://") && !it.contains("::"))
}

fn leads(tree: &Tree, from: &str, target: &str) -> bool {
    let mut names: Vec<_> = from.split('/').collect();
    names.pop();
    for name in target.split('/') {
        match name {
            "." | "" => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    tree.has(&names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::expect;
    use super::*;

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let finds = |text: &str, rules: &[&str]| {
            expect(check, &[("docs/a.md", text), ("STYLE.md", ""), ("docs/b/c.md", "")], rules);
        };
        finds("[s](../STYLE.md), [b](b/) and [c](./b/c.md#part)\n", &[]);
        finds("[out](https://example.org/x), [here](#part), [it](crate::Wal)\n", &[]);
        finds("\n[s](STYLE.md)\n", &["docs/a.md:2: there is no `STYLE.md`"]);
        finds("[c](b/c.md) [d](b/d.md)\n", &["there is no `b/d.md`"]);
    }
}
