//! Filter ids that remember their channel.
//!
//! Duty: a filter that `eth_newFilter` made lives on one channel only; its id is tagged with that channel on the way out and the tag
//! is taken off on the way back. No table, so it survives restarts and works on any worker.
//! Invariant: `untag(tag(channel, id))` is `(channel_hash(channel), id)`, byte by byte. A tagged `0x` id is still a hex quantity without
//! leading zeros, so clients may turn it into a number and back.
//! Leaves to others: finding the channel with that hash (an id that only looks tagged matches none).

/// Digits of a tag.
const TAG_DIGITS: usize = 8;
/// Kept set so that the first digit is never zero.
const TOP_BIT: u32 = 1 << 31;
/// Before the tag of an id that is a string but not a hex quantity.
const STRING_PREFIX: &str = "lasso:";
/// Before the tag of an id that is no string (some nodes count).
const RAW_PREFIX: &str = "lasso-raw:";

/// The hash that stands for a channel in a filter id: 32-bit FNV-1a of its id, top bit set.
#[must_use]
pub fn channel_hash(channel_id: &str) -> u32 {
    let hash =
        channel_id.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash | TOP_BIT
}

/// The id that the client gets, as JSON, for the id that the channel gave, as JSON.
#[must_use]
pub fn tag(channel_id: &str, filter_id: &str) -> String {
    let hash = channel_hash(channel_id);
    match unquoted(filter_id) {
        Some(text) => match hex_digits(text) {
            Some(digits) => format!("\"0x{hash:08x}{digits}\""),
            None => format!("\"{STRING_PREFIX}{hash:08x}:{text}\""),
        },
        None => format!("\"{RAW_PREFIX}{hash:08x}:{}\"", filter_id.replace('"', "\\\"")),
    }
}

/// The channel's hash and the id that the channel gave, as JSON, from the id that the client sent, as JSON.
#[must_use]
pub fn untag(filter_id: &str) -> Option<(u32, String)> {
    let text = unquoted(filter_id)?;
    if let Some(digits) = hex_digits(text) {
        let (tag, rest) = digits.split_at_checked(TAG_DIGITS)?;
        return Some((hash_of(tag)?, format!("\"0x{rest}\"")));
    }
    if let Some(tagged) = text.strip_prefix(STRING_PREFIX) {
        let (tag, rest) = tagged.split_once(':')?;
        return Some((hash_of(tag)?, format!("\"{rest}\"")));
    }
    let (tag, rest) = text.strip_prefix(RAW_PREFIX)?.split_once(':')?;
    Some((hash_of(tag)?, rest.replace("\\\"", "\"")))
}

fn hash_of(tag: &str) -> Option<u32> {
    if tag.len() != TAG_DIGITS || !tag.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(tag, 16).ok().filter(|hash| hash & TOP_BIT != 0)
}

/// The inside of a JSON string, escapes left as they are.
fn unquoted(json: &str) -> Option<&str> {
    json.trim().strip_prefix('"')?.strip_suffix('"')
}

fn hex_digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("0x")?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHANNEL: &str = "ethereum/alchemy/http";

    #[track_caller]
    fn check(filter_id: &str, shape: &str) {
        let tagged = tag(CHANNEL, filter_id);
        let expected = shape.replace("TAG", &format!("{:08x}", channel_hash(CHANNEL)));
        assert_eq!(tagged, expected);
        assert_eq!(untag(&tagged), Some((channel_hash(CHANNEL), filter_id.to_owned())));
    }

    #[test]
    fn hex_ids_stay_hex_quantities() {
        check(r#""0x1""#, r#""0xTAG1""#);
        check(r#""0x""#, r#""0xTAG""#);
        check(r#""0x00aB""#, r#""0xTAG00aB""#);
        check(r#""0x5d3cf8a90bf14de0a1b20e7d4d5e6f70""#, r#""0xTAG5d3cf8a90bf14de0a1b20e7d4d5e6f70""#);
    }

    #[test]
    fn other_ids_are_carried_whole() {
        check(r#""filter-7""#, r#""lasso:TAG:filter-7""#);
        check(r#""a:b\"c""#, r#""lasso:TAG:a:b\"c""#);
        check(r#""0xnothex""#, r#""lasso:TAG:0xnothex""#);
        check("17", r#""lasso-raw:TAG:17""#);
    }

    #[test]
    fn a_client_may_write_the_tag_in_its_own_case() {
        let tagged = tag(CHANNEL, r#""0xab""#).to_uppercase().replace("0X", "0x");
        assert_eq!(untag(&tagged), Some((channel_hash(CHANNEL), r#""0xAB""#.to_owned())));
    }

    #[test]
    fn ids_that_are_not_ours_are_not_untagged() {
        for id in [
            r#""0x1""#,
            r#""0x7fffffff00""#,
            r#""0x""#,
            r#""lasso:12:x""#,
            r#""lasso:+8000000:x""#,
            "17",
            "null",
            "",
            "\"",
        ] {
            assert_eq!(untag(id), None, "{id}");
        }
    }

    #[test]
    fn channels_have_different_hashes_with_the_top_bit_set() {
        let hashes = ["ethereum/alchemy/http", "ethereum/alchemy/ws", "base/alchemy/http", ""].map(channel_hash);
        for (index, hash) in hashes.iter().enumerate() {
            assert!(hash & TOP_BIT != 0);
            assert!(!hashes[..index].contains(hash));
        }
    }

    proptest! {
        #[test]
        fn untagging_undoes_tagging(channel in ".{0,30}", id in "\"(0x[0-9a-fA-F]{0,40}|[a-zA-Z0-9:_-]{0,40})\"|[0-9]{1,20}") {
            prop_assert_eq!(untag(&tag(&channel, &id)), Some((channel_hash(&channel), id)));
        }

        #[test]
        fn untagging_never_panics(id in ".{0,60}") {
            let _ = untag(&id);
        }
    }
}
