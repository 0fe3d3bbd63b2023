//! Texts of others in messages: paths, names in models, licences.
//!
//! Whoever writes a file chooses its name and the texts in it, and a terminal obeys what is printed: escape sequences
//! move its cursor, change its title and colours or hide lines, and characters that turn the direction of writing show
//! another text than there is. Messages show such characters by their code instead.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter, Write};
use std::path::Path;

/// A text whose control characters are shown as `\u{1b}`, `\n` and so on.
#[derive(Clone, Debug)]
pub struct Printable<'a>(Cow<'a, str>);

/// Shows `text` so that no terminal obeys it. Line breaks are shown by their code, too.
///
/// ```
/// use img2pose::text::printable;
/// assert_eq!(printable("red \u{1b}[31m\n").to_string(), "red \\u{1b}[31m\\n");
/// assert_eq!(printable("Zoë \\ 写真").to_string(), "Zoë \\ 写真");
/// ```
pub fn printable(text: &str) -> Printable<'_> {
    Printable(Cow::Borrowed(text))
}

/// Shows a message of a library, which may have several lines, as one.
pub fn one_line(message: &str) -> Printable<'static> {
    Printable(message.split_whitespace().collect::<Vec<_>>().join(" ").into())
}

/// Shows a path in the same way; bytes that are no text are shown as U+FFFD.
pub fn shown(path: &Path) -> Printable<'_> {
    Printable(path.to_string_lossy())
}

/// The first `most` characters of `text`, and dots where there were more.
pub fn brief(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]).into(),
        None => text.into(),
    }
}

impl Display for Printable<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for run in self.0.split_inclusive(is_obeyed) {
            let last = run.chars().next_back().filter(|&c| is_obeyed(c));
            let plain = &run[..run.len() - last.map_or(0, char::len_utf8)];
            out.write_str(plain)?;
            match last {
                Some('\n') => out.write_str("\\n")?,
                Some('\r') => out.write_str("\\r")?,
                Some('\t') => out.write_str("\\t")?,
                Some(c) => c.escape_unicode().try_for_each(|c| out.write_char(c))?,
                None => {}
            }
        }
        Ok(())
    }
}

/// Control characters, those that turn the direction of writing or begin a line, and those that cannot be seen at all.
/// The joiners of scripts and emoji (U+200C, U+200D) are part of words.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown_by_its_code() {
        for (text, expected) in [
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\r\nb\tc\u{7f}", "a\\r\\nb\\tc\\u{7f}"),
            ("gpj.\u{202e}exe", "gpj.\\u{202e}exe"),
            ("\u{2066}\u{2028}\u{200b}", "\\u{2066}\\u{2028}\\u{200b}"),
            ("", ""),
            (
                "plain text, \"quoted\" \\ 写真 é 👩\u{200d}🚀",
                "plain text, \"quoted\" \\ 写真 é 👩\u{200d}🚀",
            ),
        ] {
            assert_eq!(printable(text).to_string(), expected);
        }
    }

    #[test]
    fn what_is_shown_is_shown_the_same_again() {
        let once = printable("\u{1b}[2J \\ \n").to_string();
        assert_eq!(printable(&once).to_string(), once);
    }

    #[test]
    fn messages_of_libraries_become_one_line() {
        assert_eq!(
            one_line("failed:\n  node \u{1b}[31m\n").to_string(),
            "failed: node \\u{1b}[31m"
        );
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(brief("éééé", 4), "éééé");
        assert_eq!(brief("éééé", 3), "ééé...");
    }
}
