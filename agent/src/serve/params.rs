//! Strict parsing of a query string.

use super::refusal::Refusal;

/// A parameter's name and value. The value is bytes, because a cgroup's path need not be UTF-8.
pub(super) type Param = (String, Vec<u8>);

/// The parameters of a query in their order. Each must be one of `allowed` and may come once.
pub(super) fn params(query: Option<&str>, allowed: &[&str]) -> Result<Vec<Param>, Refusal> {
    let mut params: Vec<Param> = Vec::new();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = String::from_utf8_lossy(&decode(name, name)?).into_owned();
        if !allowed.contains(&name.as_str()) {
            return Err(Refusal::parameter(&name, format!("unknown parameter {name:?}")).allowing(allowed));
        }
        if params.iter().any(|(seen, _)| *seen == name) {
            return Err(Refusal::parameter(&name, format!("parameter {name:?} is given twice")));
        }
        let value = decode(&name, value)?;
        params.push((name, value));
    }
    Ok(params)
}

pub(super) fn text<'a>(name: &str, value: &'a [u8]) -> Result<&'a str, Refusal> {
    std::str::from_utf8(value)
        .map_err(|err| Refusal::parameter(name, format!("{name:?} is not UTF-8: {err}")))
}

/// Decodes `%XX` and `+`.
fn decode(name: &str, text: &str) -> Result<Vec<u8>, Refusal> {
    let refused =
        || Refusal::parameter(name, format!("{name:?} has a % that two hexadecimal digits do not follow"));
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or_else(refused);
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let value = digit(bytes.next())? * 16 + digit(bytes.next())?;
                u8::try_from(value).ok().ok_or_else(refused)?
            }
            other => other,
        });
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn a_well_formed_query_is_parsed() {
        let found = params(Some("a=x%2fy+z&b&&c=%ff"), &["a", "b", "c"]).unwrap();
        let wanted = [("a", &b"x/y z"[..]), ("b", b""), ("c", b"\xff")];
        let wanted: Vec<_> = wanted.map(|(name, value)| (name.to_owned(), value.to_vec())).into();
        assert_eq!(found, wanted);
        assert_eq!(params(None, &[]), Ok(vec![]));
        assert_eq!(text("a", b"x"), Ok("x"));
    }

    #[test]
    fn a_bad_query_is_refused_by_name() {
        for (query, parameter, part) in [
            ("d=1", "d", "unknown"),
            ("a=1&a=2", "a", "twice"),
            ("a=%2", "a", "hexadecimal"),
            ("a=%zz", "a", "hexadecimal"),
            ("A=1", "A", "unknown"),
            ("=1", "", "unknown"),
        ] {
            let refusal = params(Some(query), &["a", "b"]).expect_err(query);
            assert_eq!(refusal.parameter.as_deref(), Some(parameter), "{query}");
            assert!(refusal.error.contains(part), "{query}: {}", refusal.error);
            assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
        }
        let refusal = params(Some("d=1"), &["a", "b"]).unwrap_err();
        assert_eq!(refusal.allowed, ["a", "b"]);
        assert!(text("a", b"\xff").is_err());
    }
}
