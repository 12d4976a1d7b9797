//! Addresses of case pages.
//!
//! Lives here: patterns of their paths, and reading the case off a path. Not here: what follows from it (`presence`).

use std::{fmt, str::FromStr};

/// Longest pattern, in bytes.
const MAX_BYTES: usize = 256;

/// A pattern such as `/call_centre/{XX-0000-0000}`: a path, and the form of the case reference that follows it. In the form, X
/// stands for a capital letter or a digit, 0 for a digit, and any other character for itself. What comes after the next slash
/// makes no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CasePath {
    before: String,
    form: String,
}

/// The text is no such pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCasePath;

impl CasePath {
    /// The case reference in a path. A path with escaped characters is not that of a case page.
    #[must_use]
    pub fn reference<'path>(&self, path: &'path str) -> Option<&'path str> {
        let rest = path.strip_prefix(self.before.as_str())?;
        let reference = rest.split('/').next()?;
        let fits = reference.len() == self.form.len()
            && self.form.bytes().zip(reference.bytes()).all(has_form);
        fits.then_some(reference)
    }
}

fn has_form((form, byte): (u8, u8)) -> bool {
    match form {
        b'X' => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
        b'0' => byte.is_ascii_digit(),
        other => byte == other,
    }
}

impl FromStr for CasePath {
    type Err = NoCasePath;

    fn from_str(text: &str) -> Result<Self, NoCasePath> {
        let (before, rest) = text.split_once('{').ok_or(NoCasePath)?;
        let form = rest.strip_suffix('}').ok_or(NoCasePath)?;
        let is_path = before.starts_with('/') && before.ends_with('/');
        let is_visible = before
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'}');
        let is_form = form
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || b"-_.".contains(&it))
            && form.contains(['X', '0']);
        let fits = is_path && is_visible && is_form && text.len() <= MAX_BYTES;
        fits.then(|| Self {
            before: before.to_owned(),
            form: form.to_owned(),
        })
        .ok_or(NoCasePath)
    }
}

impl fmt::Display for CasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{{{}}}", self.before, self.form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_case_if_it_has_the_pattern() {
        let pattern: CasePath = "/call_centre/{XX-0000-0000}".parse().unwrap();
        for (path, reference) in [
            ("/call_centre/AB-1234-5678/diagnosis/", Some("AB-1234-5678")),
            ("/call_centre/A7-1234-5678", Some("A7-1234-5678")),
            ("/call_centre/AB-1234-5678/", Some("AB-1234-5678")),
            ("/call_centre/", None),
            ("/call_centre/ab-1234-5678/", None),
            ("/call_centre/AB-1234-567/", None),
            ("/call_centre/AB-1234-56789/", None),
            ("/call_centre/AB-1234-567A/", None),
            ("/call_centre/AB%2D1234%2D5678/", None),
            ("/call_centre//AB-1234-5678/", None),
            ("/CALL_CENTRE/AB-1234-5678/", None),
            ("/x/call_centre/AB-1234-5678/", None),
            ("/provider/AB-1234-5678/", None),
            ("/AB-1234-5678/", None),
            ("/", None),
        ] {
            assert_eq!(pattern.reference(path), reference, "{path}");
        }
    }

    #[test]
    fn a_text_that_is_no_pattern_is_refused() {
        let long = format!("/{}/{{X}}", "x".repeat(MAX_BYTES));
        for text in [
            "",
            "/",
            "/x/",
            "/x/{}",
            "/x{X}",
            "x/{X}",
            "{X}",
            "/x/{X}/",
            "/x/{X}{X}",
            "/x/{home}",
            "/x/{X/0}",
            "/x y/{X}",
            "/x/{X",
            "/x/X}",
            &long,
        ] {
            assert_eq!(text.parse::<CasePath>(), Err(NoCasePath), "{text}");
        }
    }
}
