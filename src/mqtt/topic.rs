//! From a line to its topic.

use serde::Deserialize;

/// Stands for the `source` of a line.
const SOURCE: &str = "{source}";

/// A topic with a place for the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic(String);

/// What of a line matters here.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    source: Option<std::borrow::Cow<'a, str>>,
}

impl Topic {
    /// The topic of that template.
    ///
    /// # Errors
    /// When nothing can be published there; in words.
    pub fn new(template: &str) -> Result<Self, String> {
        let bad = [
            (template.is_empty(), "empty"),
            (
                template.contains(['+', '#']),
                "for subscribing: + and # stand for many topics",
            ),
            (template.contains('\0'), "a text with a null character"),
            (template.len() > 60_000, "longer than 60000 bytes"),
        ];
        match bad.into_iter().find(|(is_bad, _)| *is_bad) {
            Some((_, why)) => Err(format!("it is {why}")),
            None => Ok(Self(template.to_owned())),
        }
    }

    /// The topic of a line. Where the line names no source, `fallback` is it.
    pub fn of_line(&self, line: &[u8], fallback: &str) -> String {
        if !self.0.contains(SOURCE) {
            return self.0.clone();
        }
        let line = serde_json::from_slice::<Line<'_>>(line);
        let source = line.ok().and_then(|line| line.source);
        self.of_source(source.as_deref().unwrap_or(fallback))
    }

    /// The topic of a source. Of its characters, those that mean something in topics become `_`, so that a source is one level.
    pub fn of_source(&self, source: &str) -> String {
        let source: String = source
            .chars()
            .take(1000)
            .map(|letter| match letter {
                '/' | '+' | '#' => '_',
                letter if letter.is_control() => '_',
                letter => letter,
            })
            .collect();
        self.0.replace(SOURCE, &source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_to_the_topic_of_its_source() {
        let topic = Topic::new("cameras/{source}/faces").unwrap();
        let of = |line: &str| topic.of_line(line.as_bytes(), "sink0");
        assert_eq!(
            of(r#"{"pts":0,"source":"gate-2","faces":[]}"#),
            "cameras/gate-2/faces"
        );
        assert_eq!(
            of(r#"{"source":"a \"b\"/+#\u0000c"}"#),
            "cameras/a \"b\"____c/faces"
        );
        for none in [r#"{"pts":0}"#, r#"{"source":null}"#, "no JSON", ""] {
            assert_eq!(of(none), "cameras/sink0/faces", "{none}");
        }
        assert_eq!(Topic::new("faces").unwrap().of_line(b"{}", "x"), "faces");
    }

    #[test]
    fn topics_that_nothing_can_be_published_to() {
        for bad in ["", "cameras/+/faces", "cameras/#", "a\0b"] {
            assert!(Topic::new(bad).is_err(), "{bad:?}");
        }
    }
}
