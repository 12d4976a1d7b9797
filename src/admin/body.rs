//! The bodies that callers post.
//!
//! Lives here: the two kinds of body, their limits and their decoding. Not here: the meaning of their members.

use std::collections::BTreeSet;

use axum::{
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Request, rejection::BytesRejection},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use super::{error::HttpError, reply::AnswerFormat};

/// The largest body accepted, in bytes. axum enforces the limit but does not tell it.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimit(usize);

/// Bounds the body of a request.
pub(super) fn limit(bytes: usize, request: &mut Request) {
    DefaultBodyLimit::max(bytes).apply(request);
    request.extensions_mut().insert(BodyLimit(bytes));
}

/// A complete body, not yet decoded.
#[derive(Debug)]
pub(super) enum RequestBody {
    /// From a program.
    Json(String),
    /// From a form in a browser, or from a program that acts like one.
    Form(String),
}

impl RequestBody {
    /// Decodes a `T` that reads the same from both kinds.
    pub(super) fn decode<T: DeserializeOwned>(&self) -> Result<Decoded<T>, HttpError> {
        match self {
            Self::Json(text) => from_json(text),
            Self::Form(text) => from_form(text),
        }
    }

    /// The format for the answer: the one that the caller asks for, or the one that matches the body.
    pub(super) fn answer_format(&self, headers: &HeaderMap) -> AnswerFormat {
        AnswerFormat::asked(headers).unwrap_or(match self {
            Self::Json(_) => AnswerFormat::Json,
            Self::Form(_) => AnswerFormat::Html,
        })
    }
}

/// A decoded body.
#[derive(Debug)]
pub(super) struct Decoded<T> {
    pub(super) value: T,
    /// The names of unknown members, such as misspelt ones.
    pub(super) ignored: BTreeSet<String>,
}

impl<S: Send + Sync> FromRequest<S> for RequestBody {
    type Rejection = HttpError;

    async fn from_request(request: Request, state: &S) -> Result<Self, HttpError> {
        let kind = Kind::of(request.headers())?;
        uncompressed(request.headers())?;
        let limit = request.extensions().get().copied();
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|rejection| not_received(&rejection, limit))?;
        let text = text(&bytes)?;
        match kind {
            Kind::Json => Ok(Self::Json(text.to_owned())),
            Kind::Form => Ok(Self::Form(text.to_owned())),
            Kind::Unsaid if text.is_empty() => Ok(Self::Form(String::new())),
            Kind::Unsaid => Err(HttpError::NoMediaType),
        }
    }
}

/// The kind of body that the head of a request announces.
enum Kind {
    Json,
    Form,
    /// None, as for a request without a body.
    Unsaid,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Result<Self, HttpError> {
        let value = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        let value = String::from_utf8_lossy(value.unwrap_or_default());
        let media_type = value.split(';').next().unwrap_or_default().trim();
        if media_type.is_empty() {
            Ok(Self::Unsaid)
        } else if media_type.eq_ignore_ascii_case("application/json") {
            Ok(Self::Json)
        } else if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Ok(Self::Form)
        } else {
            Err(HttpError::UnknownMediaType(media_type.to_owned()))
        }
    }
}

/// Refuses compressed bodies: a few bytes could decompress to more than fits into memory.
fn uncompressed(headers: &HeaderMap) -> Result<(), HttpError> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
    for value in values {
        let mut codings = value.split(',').map(str::trim);
        let plain = |coding: &str| coding.is_empty() || coding.eq_ignore_ascii_case("identity");
        if let Some(coding) = codings.find(|coding| !plain(coding)) {
            return Err(HttpError::Compressed(coding.to_owned()));
        }
    }
    Ok(())
}

fn not_received(rejection: &BytesRejection, limit: Option<BodyLimit>) -> HttpError {
    match limit {
        Some(BodyLimit(bytes)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            HttpError::TooLarge(bytes)
        }
        Some(_) | None => HttpError::Incomplete,
    }
}

/// The text of a body, without a byte order mark. Zero bytes are refused: English text in UTF-16 is valid UTF-8, but every
/// second byte of it is zero.
fn text(bytes: &[u8]) -> Result<&str, HttpError> {
    let text = str::from_utf8(bytes).map_err(|_| HttpError::NotUtf8)?;
    if text.contains('\0') {
        return Err(HttpError::NotUtf8);
    }
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Decodes a JSON object.
pub(super) fn from_json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<Decoded<T>, HttpError> {
    let start = text.trim_start();
    if start.is_empty() {
        return Err(HttpError::Empty);
    }
    // Without this check, serde would fill the fields of a struct from an array, in order.
    if !start.starts_with('{') {
        return Err(HttpError::NotAnObject);
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let decoded = decode(&mut json).map_err(|(member, cause)| HttpError::Json { member, cause })?;
    let end = json.end();
    end.map_err(|cause| HttpError::Json {
        member: BODY.to_owned(),
        cause,
    })?;
    Ok(decoded)
}

/// Decodes a form.
pub(super) fn from_form<T: DeserializeOwned>(text: &str) -> Result<Decoded<T>, HttpError> {
    // curl sends JSON as a form unless it is told the type. No form begins with a brace, because browsers escape it.
    if text.trim_start().starts_with('{') {
        return Err(HttpError::JsonAsForm);
    }
    let form = serde_html_form::Deserializer::from_bytes(text.as_bytes());
    // The fields of all our forms take any text, so nothing else can be wrong.
    decode(form).map_err(|(field, _)| HttpError::Repeated(field))
}

/// The name for the location of an error that is in no member.
const BODY: &str = "the body";

/// Decodes, and collects the names of unknown members. An error comes with the member that it is in.
fn decode<'a, T, D>(from: D) -> Result<Decoded<T>, (String, D::Error)>
where
    T: Deserialize<'a>,
    D: Deserializer<'a>,
{
    let (mut ignored, mut track) = (BTreeSet::new(), serde_path_to_error::Track::new());
    let from = serde_path_to_error::Deserializer::new(from, &mut track);
    let note = |path: serde_ignored::Path| {
        ignored.insert(path.to_string());
    };
    match serde_ignored::deserialize(from, note) {
        Ok(value) => Ok(Decoded { value, ignored }),
        Err(error) => {
            let path = track.path();
            let member = path
                .iter()
                .next()
                .map_or(BODY.to_owned(), ToString::to_string);
            Err((member, error))
        }
    }
}
