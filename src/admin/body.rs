//! What callers post.
//!
//! Lives here: the two kinds of body, their limits and their decoding. Not here: what the fields mean.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
};
use http::{HeaderMap, header};
use serde::{Deserialize, de::DeserializeOwned};

use super::{error::HttpError, reply::Format};

/// A body, received whole and not yet decoded.
#[derive(Debug)]
pub(super) enum Posted {
    /// From a program.
    Json(String),
    /// From a browser's form, or a program that acts like one.
    Form(String),
}

impl Posted {
    /// The body as a `T` that reads the same from both kinds.
    pub(super) fn decode<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        match self {
            Self::Json(text) => from_json(text),
            Self::Form(text) => from_form(text),
        }
    }

    /// What the sender reads: what it asks for, or else the kind that it sent.
    pub(super) fn answered_in(&self, headers: &HeaderMap) -> Format {
        Format::asked(headers).unwrap_or(match self {
            Self::Json(_) => Format::Json,
            Self::Form(_) => Format::Html,
        })
    }
}

impl<S: Send + Sync> FromRequest<S> for Posted {
    type Rejection = HttpError;

    async fn from_request(request: Request, state: &S) -> Result<Self, HttpError> {
        let announced = announced(request.headers())?;
        let bytes = Bytes::from_request(request, state).await?;
        let text = str::from_utf8(&bytes).map_err(|_| HttpError::NotUtf8)?;
        match announced {
            Kind::Json => Ok(Self::Json(text.to_owned())),
            Kind::Form => Ok(Self::Form(text.to_owned())),
            Kind::Unsaid if text.is_empty() => Ok(Self::Form(String::new())),
            Kind::Unsaid => Err(HttpError::UnknownMediaType),
        }
    }
}

/// What the head of a request says about its body.
enum Kind {
    Json,
    Form,
    /// Nothing, as of a request that has no body.
    Unsaid,
}

/// Decodes a JSON object.
pub(super) fn from_json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, HttpError> {
    // serde would fill the fields of a struct from an array, in order.
    if text.trim_start().starts_with('[') {
        return Err(HttpError::NotAnObject);
    }
    serde_json::from_str(text).map_err(HttpError::Json)
}

/// Decodes a form.
pub(super) fn from_form<T: DeserializeOwned>(text: &str) -> Result<T, HttpError> {
    serde_html_form::from_str(text).map_err(HttpError::Form)
}

fn announced(headers: &HeaderMap) -> Result<Kind, HttpError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(Kind::Unsaid);
    };
    let value = value.to_str().unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        Ok(Kind::Json)
    } else if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Ok(Kind::Form)
    } else {
        Err(HttpError::UnknownMediaType)
    }
}
