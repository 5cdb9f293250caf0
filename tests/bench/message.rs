//! Just enough of HTTP/1.1 to be cheap: heads in lower case with a `content-length`, as Envoy and we ourselves write them.
//!
//! Leaves to others: what a body means.

/// Where a head ends and where the body behind it ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) head: usize,
    pub(crate) whole: usize,
}

/// The first message of what was received, once it is there in full. A message without a length has no body.
pub(crate) fn frame(held: &[u8]) -> Option<Frame> {
    let (mut at, mut length) = (0, 0);
    loop {
        let line = held.get(at..)?;
        let end = line.iter().position(|byte| *byte == b'\n')?;
        let line = &line[..end];
        at += end + 1;
        if line.len() <= 1 {
            let whole = at + length;
            return (held.len() >= whole).then_some(Frame { head: at, whole });
        }
        if let Some(value) = line.strip_prefix(b"content-length: ") {
            length = digits(value);
        }
    }
}

/// The number that a text begins with; 0 where it begins with none.
pub(crate) fn digits(text: &[u8]) -> usize {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}

/// Where `needle` stands in the first `within` bytes.
pub(crate) fn find(text: &[u8], needle: &[u8], within: usize) -> Option<usize> {
    text[..text.len().min(within)].windows(needle.len()).position(|window| window == needle)
}
