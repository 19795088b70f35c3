//! gzip for clients that accept it, for whole answers and for streamed ones. Never for `/events`: an event must not wait in
//! a compressor.

use std::io::Write;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::write::GzEncoder;

use super::pieces::LEVEL;

/// A smaller answer is one packet, compressed or not.
const WORTH_BYTES: usize = 1400;

/// A 200 with a whole body, compressed if the client accepts it and the body is large enough.
pub(super) fn respond(content_type: &'static str, body: Bytes, request: &HeaderMap) -> Response {
    let packed = if body.len() >= WORTH_BYTES && accepts_gzip(request) { gzip(&body) } else { None };
    let is_packed = packed.is_some();
    answer(content_type, is_packed, Body::from(packed.unwrap_or(body)))
}

/// A 200 whose body is compressed already where `gzip` says so.
pub(super) fn answer(content_type: &'static str, gzip: bool, body: Body) -> Response {
    let mut response = uncached(content_type, "accept, accept-encoding", body);
    if gzip {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// A 200 that depends on the headers in `vary`, and that no cache may keep.
pub(super) fn uncached(content_type: &'static str, vary: &'static str, body: Body) -> Response {
    let headers =
        [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store"), (header::VARY, vary)];
    (headers, body).into_response()
}

fn gzip(body: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), LEVEL);
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.map(Bytes::from).inspect_err(|err| tracing::warn!(%err, "cannot compress an answer")).ok()
}

pub(super) fn accepts_gzip(request: &HeaderMap) -> bool {
    let of = |name: &str| {
        let mut codings = accepted(request, &header::ACCEPT_ENCODING);
        codings.find(|(coding, _)| coding.eq_ignore_ascii_case(name)).map(|(_, on)| on)
    };
    of("gzip").or_else(|| of("x-gzip")).or_else(|| of("*")).unwrap_or(false)
}

/// The names in a header of what a client accepts, and whether the weight of each is above 0.
pub(super) fn accepted<'a>(
    request: &'a HeaderMap,
    header: &HeaderName,
) -> impl Iterator<Item = (&'a str, bool)> {
    let values = request.get_all(header).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|text| {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map(str::parse::<f32>);
        (name, weight.is_none_or(|weight| weight.is_ok_and(|weight| weight > 0.0)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_only_where_accepted() {
        for (accept, wanted) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("*", true),
            ("gzip;q=0, *", false),
            ("gzip; q=0.000", false),
            ("gzip;q=x", false),
            ("identity", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accept));
            assert_eq!(accepts_gzip(&headers), wanted, "{accept:?}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
