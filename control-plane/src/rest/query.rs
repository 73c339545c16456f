//! The part of a URL behind the question mark.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::failure::Failure;

/// Its names and values, decoded; what is not UTF-8 is refused.
pub fn pairs(query: &str) -> Result<Vec<(String, String)>, Failure> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode(name)?, decode(value)?))
    });
    pairs.collect()
}

fn decode(text: &str) -> Result<String, Failure> {
    // As forms write a space.
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8().map(Cow::into_owned);
    decoded.map_err(|_| Failure::invalid("the query is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded() {
        let expected = [("a", "b c"), ("d", ""), ("é", "=&+")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs("a=b+c&&d&%C3%A9=%3D%26%2B").unwrap(), expected);
        assert!(pairs("").unwrap().is_empty());
        assert!(pairs("a=%c3").is_err());
    }
}
