//! A check that user input adds no elements to the pages of the admin app.
//!
//! Lives here: a parser of HTML that accepts only the elements and forms that our templates use.

/// Elements that our templates use.
const ELEMENTS: &[&str] = &[
    "a", "bdi", "body", "button", "code", "div", "form", "h1", "h2", "head", "header", "html",
    "input", "label", "li", "link", "main", "meta", "noscript", "ol", "option", "p", "script",
    "section", "select", "span", "strong", "table", "tbody", "td", "th", "thead", "title", "tr",
    "ul",
];

/// Elements without an end tag.
const VOID: &[&str] = &["input", "link", "meta"];

/// Checks that a page consists of elements of our templates only, correctly nested.
///
/// # Panics
/// When the page contains anything else.
pub fn is_ours(page: &str) {
    let mut rest = page.trim_start();
    rest = rest
        .strip_prefix("<!DOCTYPE html>")
        .expect("a document type");
    let mut open = Vec::new();
    while let Some((text, markup)) = rest.split_once('<') {
        assert!(!text.contains('>'), "a stray > in {text:?}");
        let (tag, after) = markup.split_once('>').expect("a tag that ends");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed out of order");
        } else {
            let end = tag.find(char::is_whitespace).unwrap_or(tag.len());
            let (name, attributes) = tag.split_at(end);
            assert!(
                ELEMENTS.contains(&name),
                "an element that no template has: {tag:?}"
            );
            are_attributes(attributes);
            if !VOID.contains(&name) {
                open.push(name);
            }
        }
        rest = after;
    }
    assert!(open.is_empty(), "left open: {open:?}");
    assert!(!rest.contains('>'), "a stray > in {rest:?}");
}

/// Checks that each attribute is a name, or a name and a quoted value.
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
