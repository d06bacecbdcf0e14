//! The responses to requests that are rejected before any layer sees them: what cannot be parsed, or breaks a limit.
//!
//! A rejection is one line of text that says why, or, if `error_pages` says so, a page like those of the `Errors` layer.

use std::collections::BTreeMap;

use http::{StatusCode, header};
use onion::error_page::{Filling, Page, page_for, read_directory};
use onion::{OptionError, Response, plain};

use crate::Config;

/// Pages for rejected requests.
#[derive(Clone, Debug)]
pub struct ErrorPages {
    pages: BTreeMap<String, Page>,
    /// For what has no other.
    own: Page,
}

impl ErrorPages {
    /// Reads the pages that `config` names, if it names any.
    pub fn load(config: &Config) -> Result<Option<Self>, OptionError> {
        let pages = match config.error_pages.as_str() {
            "off" => return Ok(None),
            "default" => BTreeMap::new(),
            directory => read_directory(directory)
                .map_err(|OptionError(error)| OptionError(format!("error_pages: {error}, default or off")))?,
        };
        Ok(Some(ErrorPages { pages, own: Page::own() }))
    }

    fn response(&self, status: StatusCode, reason: &str) -> Response {
        let page = page_for(&self.pages, status).unwrap_or(&self.own);
        let phrase = status.canonical_reason().unwrap_or("Error");
        let text = page.fill(&Filling { status, reason: &format!("{phrase}: {reason}"), request_id: "" });
        let mut response = Response::new(text.into());
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, page.content_type());
        response
    }
}

/// The response to a rejected request.
pub(crate) fn rejected(pages: Option<&ErrorPages>, status: StatusCode, reason: &'static str) -> Response {
    if let Some(pages) = pages {
        return pages.response(status, reason);
    }
    let mut response = plain(status, reason);
    *response.body_mut() = format!("{reason}\n").into();
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_rejection_is_a_line_or_a_page() {
        let body = async |response: Response| response.into_body().into_bytes(10_000).await.expect("whole");
        let response = rejected(None, StatusCode::BAD_REQUEST, "malformed path");
        assert_eq!(body(response).await, "malformed path\n");

        let config = Config { error_pages: "default".to_owned(), ..Config::default() };
        let pages = ErrorPages::load(&config).expect("it is built in");
        let response = rejected(pages.as_ref(), StatusCode::BAD_REQUEST, "malformed path");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        let text = body(response).await;
        assert!(String::from_utf8_lossy(&text).contains("<title>400 Bad Request: malformed path</title>"));
    }

    #[test]
    fn a_folder_without_pages_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let error_pages = folder.path().display().to_string();
        let error = ErrorPages::load(&Config { error_pages, ..Config::default() }).expect_err("it is empty");
        assert!(error.to_string().starts_with("error_pages: "), "{error}");
    }
}
