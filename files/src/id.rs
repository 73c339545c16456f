//! The id of a file, which is that of its upload: 128 random bits. Who knows it was given it.

use std::fmt;

use rand::RngCore as _;

const BYTES: usize = 16;

/// 32 hexadecimal digits in small.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileId(String);

impl FileId {
    /// A new one.
    pub fn random() -> Self {
        let mut bytes = [0; BYTES];
        rand::rng().fill_bytes(&mut bytes);
        Self(hex(&bytes))
    }

    /// The id that this text is, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 2 * BYTES && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bytes as hexadecimal digits in small.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that hexadecimal digits stand for.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_digits_and_never_a_path() {
        let id = FileId::random();
        assert_eq!(FileId::parse(id.as_str()), Some(id.clone()));
        assert_ne!(id, FileId::random());
        let one_more = format!("{id}0");
        for text in
            ["", "..", "../../../../../../../etc/passwd", &id.as_str().to_uppercase(), &one_more, &id.as_str()[1..]]
        {
            if text.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii_hexdigit()) || text.len() != 32 {
                assert_eq!(FileId::parse(text), None, "{text}");
            }
        }
        assert_eq!(unhex(&hex(&[0, 255, 16])), Some(vec![0, 255, 16]));
        assert_eq!((unhex("0"), unhex("zz"), unhex("éé")), (None, None, None));
    }
}
