//! A JSON scanner: delimits values and checks their grammar (RFC 8259) without building or allocating anything.
//!
//! Invariant: every index is read through `get`, and every step forward is bounded by the bytes, so no input can make it panic or
//! loop. Its own scanner, not `serde_json`, because heads of bodies that are still arriving must be read too ([`Fault::Eof`] is not
//! [`Fault::Syntax`]), and because the request path must not allocate (`serde_json` does for nested values it skips).
//!
//! It leaves UTF-8 to its callers: bytes from 0x80 up pass inside strings and nowhere else.

/// Deepest nesting accepted. A call tracer's answer nests two levels per call and the EVM 1,024 calls, so 2,048 are real.
pub(crate) const MAX_DEPTH: usize = 4096;

/// Why a scan stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The bytes ended inside a value: more of them might have made it whole.
    Eof,
    /// No continuation of these bytes is JSON (or it nests deeper than [`MAX_DEPTH`]).
    Syntax,
}

/// A range of the scanned bytes. Both ends lie on ASCII, so on character boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    /// This range of a text that was scanned; empty when it was another text.
    pub(crate) fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }

    /// This range of bytes, when it is UTF-8.
    pub(crate) fn of_bytes(self, bytes: &[u8]) -> Option<&str> {
        std::str::from_utf8(bytes.get(self.start..self.end)?).ok()
    }
}

/// A position in bytes that are read as JSON.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The index of the next byte.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The next byte that is not whitespace, not consumed.
    #[inline]
    pub(crate) fn peek(&mut self) -> Result<u8, Fault> {
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                other => return Ok(other),
            }
        }
        Err(Fault::Eof)
    }

    /// Whether nothing but whitespace is left.
    pub(crate) fn at_end(&mut self) -> bool {
        self.peek().is_err()
    }

    /// Steps over one value, whatever its length.
    pub(crate) fn value(&mut self) -> Result<Span, Fault> {
        let first = self.peek()?;
        let start = self.at;
        match first {
            b'{' | b'[' => self.nested()?,
            scalar => self.scalar(scalar)?,
        }
        Ok(Span { start, end: self.at })
    }

    /// Steps over one value of at most `most` bytes; `None`, without a step, when it is longer than that or than what is here.
    pub(crate) fn short_value(&mut self, most: usize) -> Result<Option<Span>, Fault> {
        self.peek()?;
        let edge = self.at.saturating_add(most).min(self.bytes.len());
        let mut window = Scanner { bytes: self.bytes.get(..edge).unwrap_or_default(), at: self.at };
        match window.value() {
            // A number that touches the edge may go on behind it.
            Ok(span) if span.end < edge => {
                self.at = window.at;
                Ok(Some(span))
            }
            Ok(_) | Err(Fault::Eof) => Ok(None),
            Err(Fault::Syntax) => Err(Fault::Syntax),
        }
    }

    /// Enters an object; [`Members`] then walks its keys.
    pub(crate) fn members(&mut self) -> Result<Members, Fault> {
        self.eat(b'{')?;
        Ok(Members { started: false })
    }

    /// Enters an array; [`Elements`] then walks its values.
    pub(crate) fn elements(&mut self) -> Result<Elements, Fault> {
        self.eat(b'[')?;
        Ok(Elements { started: false })
    }

    #[inline]
    fn eat(&mut self, expected: u8) -> Result<(), Fault> {
        if self.peek()? != expected {
            return Err(Fault::Syntax);
        }
        self.at += 1;
        Ok(())
    }

    fn scalar(&mut self, first: u8) -> Result<(), Fault> {
        match first {
            b'"' => self.string().map(|_| ()),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => Err(Fault::Syntax),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        for &expected in word {
            match self.bytes.get(self.at) {
                Some(&byte) if byte == expected => self.at += 1,
                Some(_) => return Err(Fault::Syntax),
                None => return Err(Fault::Eof),
            }
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while matches!(self.bytes.get(self.at), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        match (self.at > start, self.bytes.get(self.at)) {
            (true, _) => Ok(()),
            (false, Some(_)) => Err(Fault::Syntax),
            (false, None) => Err(Fault::Eof),
        }
    }

    /// Steps over a string; the span is what stands between its quotes.
    #[inline]
    fn string(&mut self) -> Result<Span, Fault> {
        self.eat(b'"')?;
        let start = self.at;
        loop {
            self.at += plain_run(self.bytes.get(self.at..).unwrap_or_default());
            match self.bytes.get(self.at) {
                None => return Err(Fault::Eof),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Span { start, end: self.at - 1 });
                }
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => return Err(Fault::Syntax),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.bytes.get(self.at) {
            None => return Err(Fault::Eof),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    match self.bytes.get(self.at) {
                        None => return Err(Fault::Eof),
                        Some(digit) if digit.is_ascii_hexdigit() => self.at += 1,
                        Some(_) => return Err(Fault::Syntax),
                    }
                }
            }
            Some(_) => return Err(Fault::Syntax),
        }
        Ok(())
    }

    fn key(&mut self) -> Result<Span, Fault> {
        self.peek()?;
        let key = self.string()?;
        self.eat(b':')?;
        Ok(key)
    }

    /// Steps over an object or array. A loop, not a recursion: the depth is the sender's choice, our stack is not.
    fn nested(&mut self) -> Result<(), Fault> {
        let mut outer = Nesting::new();
        let mut inside = None;
        loop {
            // Before a value.
            let opened = match self.peek()? {
                b'{' => Container::Object,
                b'[' => Container::Array,
                scalar => {
                    self.scalar(scalar)?;
                    match self.after_value(&mut outer, inside)? {
                        None => return Ok(()),
                        enclosing => inside = enclosing,
                    }
                    continue;
                }
            };
            self.at += 1;
            outer.push(inside)?;
            inside = Some(opened);
            match (self.peek()?, opened) {
                (b'}', Container::Object) | (b']', Container::Array) => match self.after_value(&mut outer, inside)? {
                    None => return Ok(()),
                    enclosing => inside = enclosing,
                },
                (_, Container::Object) => self.key().map(|_| ())?,
                (_, Container::Array) => {}
            }
        }
    }

    /// After a value: steps over closing brackets up to the next value. Returns what that one stands in, `None` at the end.
    fn after_value(&mut self, outer: &mut Nesting, mut inside: Option<Container>) -> Result<Option<Container>, Fault> {
        while let Some(container) = inside {
            match (self.peek()?, container) {
                (b',', Container::Array) => {
                    self.at += 1;
                    return Ok(inside);
                }
                (b',', Container::Object) => {
                    self.at += 1;
                    self.key()?;
                    return Ok(inside);
                }
                (b'}', Container::Object) | (b']', Container::Array) => {
                    self.at += 1;
                    inside = outer.pop();
                }
                _ => return Err(Fault::Syntax),
            }
        }
        Ok(None)
    }
}

/// A walk over an object's members: ask for a key, then step over its value.
#[derive(Debug)]
pub(crate) struct Members {
    started: bool,
}

impl Members {
    /// The next key, without its quotes; `None` once the closing brace is behind. The scanner then stands before the value.
    pub(crate) fn next(&mut self, scanner: &mut Scanner<'_>) -> Result<Option<Span>, Fault> {
        match scanner.peek()? {
            b'}' => {
                scanner.at += 1;
                return Ok(None);
            }
            b',' if self.started => scanner.at += 1,
            _ if self.started => return Err(Fault::Syntax),
            _ => {}
        }
        self.started = true;
        scanner.key().map(Some)
    }
}

/// A walk over an array's values: ask whether there is one, then step over it.
#[derive(Debug)]
pub(crate) struct Elements {
    started: bool,
}

impl Elements {
    /// Whether a value follows; `false` once the closing bracket is behind.
    pub(crate) fn next(&mut self, scanner: &mut Scanner<'_>) -> Result<bool, Fault> {
        match scanner.peek()? {
            b']' => {
                scanner.at += 1;
                return Ok(false);
            }
            b',' if self.started => {
                scanner.at += 1;
                if scanner.peek()? == b']' {
                    return Err(Fault::Syntax);
                }
            }
            _ if self.started => return Err(Fault::Syntax),
            _ => {}
        }
        self.started = true;
        Ok(true)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    Array,
}

/// The containers around the innermost one, one bit each.
struct Nesting {
    objects: [u64; MAX_DEPTH / 64],
    depth: usize,
}

impl Nesting {
    fn new() -> Self {
        Self { objects: [0; MAX_DEPTH / 64], depth: 0 }
    }

    fn push(&mut self, container: Option<Container>) -> Result<(), Fault> {
        let word = self.objects.get_mut(self.depth / 64).ok_or(Fault::Syntax)?;
        let bit = 1 << (self.depth % 64);
        match container {
            Some(Container::Object) => *word |= bit,
            Some(Container::Array) | None => *word &= !bit,
        }
        self.depth += 1;
        Ok(())
    }

    /// The next container outwards. The outermost was pushed when there was none around it.
    fn pop(&mut self) -> Option<Container> {
        self.depth = self.depth.checked_sub(1)?;
        if self.depth == 0 {
            return None;
        }
        let is_object = self.objects.get(self.depth / 64)? >> (self.depth % 64) & 1 == 1;
        Some(if is_object { Container::Object } else { Container::Array })
    }
}

/// How many leading bytes, eight at a time, are neither a quote, nor a backslash, nor a control character.
///
/// Call data and results are long hexadecimal strings: this is where a scan spends its time.
#[inline]
fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let mut run = 0;
    for chunk in bytes.as_chunks::<8>().0 {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        // Each term has the high bit of a byte set where that byte is zero (or below 0x20); borrows only reach bytes above a hit,
        // so the lowest hit is exact.
        let hits = (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let hits = hits & HIGHS;
        if hits != 0 {
            return run + hits.trailing_zeros() as usize / 8;
        }
        run += 8;
    }
    run
}

#[cfg(test)]
mod tests;
