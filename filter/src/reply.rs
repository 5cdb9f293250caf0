//! What we say ourselves.
//!
//! Duty: bodies of the answers that no provider gives.
//! Invariant: every body carries the client's own id as its raw text.
//! Leaves to others: which error (`lasso_jsonrpc::error`), when.

use lasso_jsonrpc::error::{RpcError, write_result};
use sha3::{Digest, Keccak256};

/// A result for `id`.
#[must_use]
pub fn result(id: &str, raw: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(raw.len() + id.len() + 40);
    write_result(id, raw, &mut body);
    body
}

/// An error of ours for `id`.
#[must_use]
pub fn error(id: &str, error: &RpcError) -> Vec<u8> {
    let mut body = Vec::with_capacity(256);
    error.write(id, &mut body);
    body
}

/// A provider's error object, as it came, for `id`.
#[must_use]
pub fn error_object(id: &str, raw: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(raw.len() + id.len() + 40);
    body.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    body.extend_from_slice(id.as_bytes());
    body.extend_from_slice(b",\"error\":");
    body.extend_from_slice(raw.as_bytes());
    body.push(b'}');
    body
}

/// The hash (raw JSON string) of the signed transaction in `params` of an `eth_sendRawTransaction`: Keccak-256 of its bytes (EIP-2718).
#[must_use]
pub fn transaction_hash(params: &str) -> Option<String> {
    let raw: Vec<std::borrow::Cow<'_, str>> = serde_json::from_str(params).ok()?;
    let digits = raw.first()?.strip_prefix("0x")?.as_bytes();
    let mut hasher = Keccak256::new();
    for pair in digits.chunks(2) {
        let [high, low] = pair else { return None };
        hasher.update([(nibble(*high)? << 4) | nibble(*low)?]);
    }
    let hash = hasher.finalize();
    let mut text = String::with_capacity(68);
    text.push_str("\"0x");
    for byte in hash {
        text.push(char::from(digit(byte >> 4)));
        text.push(char::from(digit(byte & 0xf)));
    }
    text.push('"');
    Some(text)
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

const fn digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transactions_hash_is_the_keccak_of_its_bytes() {
        // Keccak-256 of nothing and of 0x00, from the reference implementation.
        let of = |params: &str| transaction_hash(params);
        assert_eq!(of(r#"["0x"]"#).unwrap(), "\"0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470\"");
        assert_eq!(
            of(r#"["0x00"]"#).unwrap(),
            "\"0xbc36789e7a1e281436464229828f817d6612f7b477d66591ff96a9e064bcc98a\""
        );
    }

    #[test]
    fn what_is_no_transaction_has_no_hash() {
        for params in ["[]", "{}", r#"["0x0"]"#, r#"["0xzz"]"#, r#"["12"]"#, "[1]"] {
            assert_eq!(transaction_hash(params), None, "{params}");
        }
    }

    #[test]
    fn errors_keep_the_providers_bytes_and_the_clients_id() {
        let body = error_object("\"x\\u0041\"", "{\"code\":3, \"message\":\"no\"}");
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "{\"jsonrpc\":\"2.0\",\"id\":\"x\\u0041\",\"error\":{\"code\":3, \"message\":\"no\"}}"
        );
    }
}
