//! What a page of ours looks like to a browser.
//!
//! Lives here: a reader of HTML that knows no more than our templates use, so that whatever a stranger adds breaks it.

/// Elements that our templates use.
const ELEMENTS: &[&str] = &[
    "a", "bdi", "body", "button", "code", "div", "form", "h1", "h2", "head", "header", "html",
    "input", "label", "li", "link", "main", "meta", "noscript", "ol", "option", "p", "script",
    "section", "select", "span", "strong", "table", "tbody", "td", "th", "thead", "title", "tr",
    "ul",
];

/// Those of them that have no end.
const VOID: &[&str] = &["input", "link", "meta"];

/// Checks that a page consists of our elements only, each closed where it should be.
///
/// # Panics
/// When it does not.
pub fn is_ours(page: &str) {
    let mut rest = page.trim_start();
    rest = rest
        .strip_prefix("<!DOCTYPE html>")
        .expect("a document type");
    let mut open = Vec::new();
    while let Some((text, markup)) = rest.split_once('<') {
        assert!(!text.contains('>'), "a loose end in {text:?}");
        let (tag, after) = markup.split_once('>').expect("a tag that ends");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed out of order");
        } else {
            let end = tag.find(char::is_whitespace).unwrap_or(tag.len());
            let (name, attributes) = tag.split_at(end);
            assert!(
                ELEMENTS.contains(&name),
                "an element that we have not: {tag:?}"
            );
            are_attributes(attributes);
            if !VOID.contains(&name) {
                open.push(name);
            }
        }
        rest = after;
    }
    assert!(open.is_empty(), "left open: {open:?}");
    assert!(!rest.contains('>'), "a loose end in {rest:?}");
}

/// Each is a name alone, or a name and a value in quotes.
fn are_attributes(text: &str) {
    let mut rest = text;
    while let Some(attribute) = rest.strip_prefix(char::is_whitespace) {
        let attribute = attribute.trim_start();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let after = attribute.trim_start_matches(plain);
        let value = after
            .strip_prefix("=\"")
            .and_then(|value| value.split_once('"'));
        rest = value.map_or(after, |(_, after)| after);
    }
    assert!(rest.is_empty(), "{rest:?} among the attributes {text:?}");
}
