//! What others wrote, as a part of a message for people.

/// Returns a text with what a terminal would act on or not show as an escape: a new line as `\n`,
/// others as in `\u{1b}`. All else stays as it is.
pub(crate) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for it in text.chars() {
        if is_visible(it) {
            visible.push(it);
        } else {
            visible.extend(it.escape_debug());
        }
    }
    visible
}

/// Returns whether it stays as it is: no control character, and nothing that turns the direction
/// of a text, takes no room or ends a line.
pub(crate) fn is_visible(it: char) -> bool {
    let is_format = matches!(
        it,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    !it.is_control() && !is_format
}

/// Returns what an error says without its place, which is that in one line or one value.
pub(crate) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    visible(text.rfind(" at line ").map_or(&*text, |end| &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_escaped() {
        let plain = "T\u{e4}xt \"in\" 'quotes' \\ e\u{301} \u{1f980}";
        assert_eq!(visible(plain), plain);
        let text = "\u{1b}[31m\0\n\t\u{7f}\u{9b}\u{202e}";
        assert_eq!(visible(text), r"\u{1b}[31m\0\n\t\u{7f}\u{9b}\u{202e}");
        assert!(visible(text).chars().all(is_visible));
    }
}
